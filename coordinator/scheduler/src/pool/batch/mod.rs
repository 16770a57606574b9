//! How many jobs of a batch system a pool should have.
//!
//! [`BatchPool`] is a value, like the scheduler: the caller tells it what the batch system shows and what work there is, and
//! carries out the [`BatchOrder`]s that it returns.
//!
//! ```text
//! squeue ---> Look ----+
//!                      +--> BatchPool::handle --> orders --> sbatch, scancel, a worker's session
//! scheduler --> Load --+
//! ```
//!
//! Unlike processes of this machine, jobs outlive the coordinator, wait for hours, and are submitted by a command whose answer
//! may be lost. So each submission has an [`AllocationId`] that the caller records before it submits, and finds again in
//! the queue afterwards.
//!
//! - Invariant: a pool never has more allocations than its maximum, of those that it ordered.
//! - Invariant: while the batch system does not answer, nothing is submitted and nothing is taken to have ended.
//! - Invariant: only jobs that wait in the queue are cancelled. A worker is asked to go, and hands back its work first.

mod allocation;
mod job;
mod nodes;
mod pool;
mod settings;
mod why;

pub use allocation::{AllocationId, BatchAllocation, Phase};
pub use job::{Job, JobEnd, JobId, JobState, Look};
pub use nodes::Nodes;
pub use pool::{BatchOrder, BatchPool, Load, LoadWorker, Mode};
pub use settings::BatchSettings;
pub use why::Idle;
