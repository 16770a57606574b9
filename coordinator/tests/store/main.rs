//! What every store has to do, as one suite: each `conforming!` test runs over SQLite and over memory. Beside it, what is
//! true of a SQLite file alone.

mod curve;
mod damage;
mod earlier;
mod forgetting;
mod log;
mod observed;
mod pools;
mod properties;
mod scratch;
mod snapshots;
mod speeds;
mod tables;
mod tokens;
mod writer;
