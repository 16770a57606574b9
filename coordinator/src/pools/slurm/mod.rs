//! Pools of Slurm jobs.
//!
//! A pool's allocations are jobs: each runs one or several workers, which dial the coordinator. [`BatchPool`] decides how many
//! there are; here are the commands that carry it out, and what has to be remembered of them.
//!
//! - Invariant: the intent of a submission is committed before `sbatch` runs, and names the job in its comment. Whatever
//!   becomes of the answer, or of the coordinator, the job is found again.
//! - Invariant: nothing that a worker says reaches a command line. Job numbers come from Slurm alone.
//! - Invariant: a token is in a file that only its owner reads, never in an argument or the environment.
//!
//! Only options of Slurm 20.11 are used. What Slurm says is read with a time limit and a limit on its length.
//!
//! [`BatchPool`]: scheduler::pool::batch::BatchPool

mod answers;
mod command;
mod commands;
mod error;
mod folder;
mod keeper;
mod pool;
mod script;
mod service;
mod settings;
mod view;

use std::time::Duration;

pub use command::is_withheld;
pub(crate) use error::SlurmError;
pub(crate) use service::{Change, SlurmPools, Surroundings};
pub(crate) use settings::SlurmSettings;
pub(crate) use view::{AllocationView, SlurmPoolView};

/// How Slurm is asked.
#[derive(Debug, Clone, Copy)]
pub struct SlurmOptions {
    /// How often `squeue` runs while a pool has jobs or wants some.
    pub poll: Duration,
    /// How long a command may take before it is killed.
    pub patience: Duration,
    /// How long a submission without an answer may take to show up in the queue.
    pub settle: Duration,
}

impl Default for SlurmOptions {
    fn default() -> Self {
        let [poll, patience, settle] = [30, 60, 60].map(Duration::from_secs);
        Self { poll, patience, settle }
    }
}
