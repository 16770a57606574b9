//! What every store has to do, as one suite: each `conforming!` test runs over SQLite, over memory, and over PostgreSQL where
//! that is installed. Beside it, what is true of one of them alone.

mod copying;
mod curve;
mod damage;
mod earlier;
mod fence;
mod forgetting;
mod log;
mod observed;
mod pools;
#[path = "../../../tests/support/postgres.rs"]
mod postgres;
mod properties;
mod scratch;
mod snapshots;
mod speeds;
mod tables;
mod tokens;
mod writer;
