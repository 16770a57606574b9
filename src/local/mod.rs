//! What a command needs of this machine: the data directory, a coordinator to speak with or of our own, its workers, prepared
//! text, checkpoints.

pub(crate) mod checkpoint;
pub(crate) mod data_dir;
pub(crate) mod law;
mod pool;
pub(crate) mod preparing;
pub(crate) mod reach;
pub(crate) mod signals;
pub(crate) mod training;

use anyhow::Context;
pub(crate) use pool::local_pool;

/// What a report and a fit say made them.
pub(crate) const PROGRAM: &str = concat!("windtunnel ", env!("CARGO_PKG_VERSION"));

/// What commands that talk to others run on.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start")
}
