//! What every store has to do, over files in temporary directories.

mod curve;
mod damage;
mod log;
mod scratch;
mod snapshots;
mod speeds;
mod tables;
