//! What commands need from this machine: the data directory, a coordinator (running or embedded) and its workers, prepared
//! text, checkpoints.

pub(crate) mod checkpoint;
pub(crate) mod coordinator_job;
pub(crate) mod data_dir;
pub(crate) mod file_system;
pub(crate) mod law;
mod pool;
pub(crate) mod preparing;
pub(crate) mod reach;
pub(crate) mod signals;
pub(crate) mod training;
pub(crate) mod until_idle;

use anyhow::Context;
pub(crate) use pool::local_pool;

/// The program named in reports and fits.
pub(crate) const PROGRAM: &str = concat!("windtunnel ", env!("CARGO_PKG_VERSION"));

/// The runtime of commands that use the network.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start")
}
