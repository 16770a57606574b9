//! A store in one SQLite file, in WAL mode with full synchronisation: what was committed survives a loss of power.
//!
//! The schema is in `coordinator/migrations`; a file for each group of tables has its statements. `store.rs` is the trait,
//! method by method.

mod commit;
mod copy;
mod curve;
mod derived;
mod error;
mod follow;
mod log;
mod measurements;
mod open;
mod pools;
mod queries;
mod rows;
mod schema;
mod snapshots;
mod speeds;
mod store;
mod term;
mod tokens;

pub use open::SqliteStore;
