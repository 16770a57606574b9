//! A store in a PostgreSQL database, which several coordinators may have open: one leads, the others stand by.
//!
//! The leader has a single session that holds the database's advisory lock, and writes over nothing else: what that session
//! commits was committed under the lock. Each of its transactions also locks the row of the term and compares it. An error of
//! the session ends the term, and nothing is sent again from memory; docs/decisions/0009-fencing-postgresql.md says why.
//!
//! The schema is in `coordinator/migrations/postgres`; a file for each group of tables has its statements, and shares none with
//! SQLite. `store.rs` is the trait, method by method.

mod commit;
mod copy;
mod curve;
mod derived;
mod error;
mod follow;
mod log;
mod measurements;
mod number;
mod open;
mod pools;
mod queries;
mod rows;
mod schema;
mod session;
mod snapshots;
mod speeds;
mod store;
mod term;
mod tokens;
mod transaction;

pub use open::{PostgresStore, Presence};
