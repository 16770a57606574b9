//! Everything the coordinator remembers: the log of facts, and the tables that people query, kept in step with it.
//!
//! [`Store`] is the contract, and states what every implementation promises. [`SqliteStore`] keeps a store in one file,
//! [`PostgresStore`] in a database that several coordinators may open, and [`MemoryStore`] for as long as the process lives.
//! `coordinator/tests/store` runs one suite over all of them.
//!
//! The types here are plain data: no engine's types appear in them, nor in [`StoreError`]. SQL is in
//! [`sqlite`] and [`postgres`] alone.
//! Knows nothing of what facts mean beyond the tables that follow from them.

mod columns;
mod commit;
mod contract;
mod copy;
mod error;
mod log;
pub mod memory;
mod open;
mod packed;
mod place;
mod pools;
pub mod postgres;
mod rows;
mod series;
mod snapshot;
mod speaker;
mod speeds;
pub mod sqlite;
mod term;
mod token;
mod turn;

pub use commit::Commit;
pub use contract::{DerivedCheck, Differences, Store};
pub use copy::{CopiedRows, CopyStoreError};
pub(crate) use copy::{Portable, copy};
pub use error::{Cause, StoreError};
pub use log::{Chain, LogCheck, LogPosition};
pub use memory::MemoryStore;
pub use open::{choose, is_in, open_in};
pub(crate) use open::{open_at, open_beside, open_existing, open_file, open_portable};
pub use place::{NoteError, Place, PlaceError, Postgres};
pub use pools::{AllocationRow, PoolChange, PoolRow};
pub use postgres::{PostgresStore, Presence};
pub use rows::{AttemptRow, CampaignRow, CommittedCheckpoint, CurvePoint, RecipeText, WholeAttempt};
pub use snapshot::{PackedSnapshot, UnusableSnapshot};
pub use speaker::Speaker;
pub use speeds::measured_speeds;
pub use sqlite::SqliteStore;
pub use term::Term;
pub use token::{TokenRow, TokenState};
pub use turn::{Leader, StorageNote, Turn};
