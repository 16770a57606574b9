//! What the coordinator knows for ever: the log of facts, and beside it the tables that people query, in one SQLite file.
//!
//! A [`Commit`] is one transaction over log and tables, so neither is ahead of the other. Facts come first: one that
//! starts an attempt cuts the curve of its stage, before the points of the commit are added.
//!
//! - Invariant: the log is appended to and numbered without gaps, each row is chained to the one before it, and where it
//!   ends is noted apart. [`Store::facts`] reads all of it or says which row is damaged, and [`Store::check_log`] looks.
//! - Invariant: a snapshot of the ledger is of this log and as it was written, or is left aside.
//! - Invariant: a curve has each step once. The first row stays.
//! - Invariant: what [`Store::commit`] returned from survives a loss of power (WAL, `synchronous = FULL`).
//!
//! The schema is in `coordinator/migrations`. Knows nothing of what facts mean beyond the tables that follow from them.

mod commit;
mod curve;
mod derived;
mod dynamics;
mod error;
mod follow;
mod log;
mod number;
mod open;
mod queries;
mod snapshots;
mod speeds;
mod tokens;

pub use commit::Commit;
pub use curve::CurvePoint;
pub use derived::Differences;
pub use error::StoreError;
pub use log::{LogCheck, LogPosition};
pub use open::Store;
pub use queries::{CampaignRow, CommittedCheckpoint};
pub use snapshots::{PackedSnapshot, UnusableSnapshot};
pub use speeds::measured_speeds;
pub use tokens::{TokenRow, TokenState};
