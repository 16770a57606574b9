//! Everything the coordinator remembers: the log of facts, and the tables that people query, kept in step with it.
//!
//! [`Store`] is the contract, and states what every implementation promises. [`SqliteStore`] keeps a store in one file;
//! [`MemoryStore`] keeps it for as long as the process lives. `coordinator/tests/store` runs one suite over both.
//!
//! The types here are plain data: no engine's types appear in them, nor in [`StoreError`]. SQL is in [`sqlite`] alone.
//! Knows nothing of what facts mean beyond the tables that follow from them.

mod commit;
mod contract;
mod error;
mod log;
pub mod memory;
mod open;
mod pools;
mod rows;
mod snapshot;
mod speaker;
mod speeds;
pub mod sqlite;
mod term;
mod token;

pub use commit::Commit;
pub use contract::{DerivedCheck, Differences, Store};
pub use error::{Cause, StoreError};
pub use log::{Chain, LogCheck, LogPosition};
pub use memory::MemoryStore;
pub(crate) use open::open_beside;
pub use open::{is_in, open_in};
pub use pools::{AllocationRow, PoolChange, PoolRow};
pub use rows::{AttemptRow, CampaignRow, CommittedCheckpoint, CurvePoint, RecipeText, WholeAttempt};
pub use snapshot::{PackedSnapshot, UnusableSnapshot};
pub use speaker::Speaker;
pub use speeds::measured_speeds;
pub use sqlite::SqliteStore;
pub use term::Term;
pub use token::{TokenRow, TokenState};
