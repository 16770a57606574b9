//! Pools: workers that the coordinator starts itself.
//!
//! A `Pool` knows how to start, see and end workers of one kind. The `Keeper` keeps one of them at the size
//! that [`scheduler::pool::scale`] wants: processes on this machine, [`LocalPool`]. Jobs of a batch system outlive the coordinator
//! and wait for hours, so they have decisions and a keeper of their own, in `batch`; `slurm` and `kubernetes` are such systems.

pub(crate) mod batch;
mod keeper;
pub(crate) mod kubernetes;
mod local;
pub(crate) mod slurm;

use std::collections::BTreeMap;
use std::path::PathBuf;

use scheduler::pool::{AllocationNumber, Ending};
use vocabulary::WorkerId;

pub use batch::{BatchOptions, Waits};
pub use keeper::PoolEvent;
pub use local::{LocalPool, LocalPoolOptions, PoolError};

/// How workers of one kind are started and ended.
///
/// Allocations go by numbers, of which the pool never has two alive. Methods return when the pool has taken the order in;
/// what becomes of it shows in what is observed.
pub(crate) trait Pool: Send + 'static {
    /// Asks for an allocation, and returns the identity that its worker will say hello under.
    ///
    /// # Errors
    /// If it is certain that there will be none.
    fn submit(&mut self, number: AllocationNumber) -> impl Future<Output = Result<WorkerId, PoolError>> + Send;

    /// Waits for news, and returns everything there is: each allocation that is alive or asked for, and each that ended
    /// since the last time. It says only what is certain, however long that takes. Dropping the future loses nothing.
    fn observe(&mut self) -> impl Future<Output = BTreeMap<AllocationNumber, Observed>> + Send;

    /// Has an allocation's worker write its checkpoint and go. One that is not there is no error.
    fn release(&mut self, number: AllocationNumber) -> impl Future<Output = ()> + Send;
}

/// What a pool sees of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observed {
    Alive { worker: WorkerId },
    Ended(Ended),
}

/// An allocation that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) worker: WorkerId,
    pub(crate) ending: Ending,
    /// Whether the process is certainly gone, so that its device is free. If not, its lease has to say so.
    pub(crate) is_gone: bool,
    /// Who it was and what it said last, should no other be left.
    pub(crate) obituary: WorkersGone,
}

/// No worker of a pool can work: each ended saying that starting it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no local worker can work; {name} ended with {last_log_line:?}, and its log is {}", .log.display())]
pub struct WorkersGone {
    /// The last one to end.
    pub name: String,
    pub log: PathBuf,
    /// The last line of its log; may be empty.
    pub last_log_line: String,
}
