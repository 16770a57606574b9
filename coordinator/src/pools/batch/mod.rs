//! Pools whose allocations are jobs of a batch system.
//!
//! Each job runs one or several workers, which dial the coordinator. [`BatchPool`] decides how many jobs there are. Here are the
//! task that carries it out, and what has to be remembered of it; a [`System`] asks one batch system.
//!
//! - Invariant: the intent of a submission is committed before it is made, and the job carries the intent's name. Whatever
//!   becomes of the answer, or of the coordinator, the job is found again.
//! - Invariant: nothing that a worker says reaches a batch system. Jobs are named by the system or by the pool alone.
//! - Invariant: a token is where only its owner reads it, never in an argument or the environment.
//!
//! [`BatchPool`]: scheduler::pool::batch::BatchPool
//! [`System`]: system::System

mod error;
mod folder;
mod keeper;
mod orders;
mod pool;
mod queues;
mod requests;
mod service;
mod settings;
mod system;
mod view;

use std::time::Duration;

pub(crate) use error::{BatchError, InvalidSettings};
pub(super) use folder::{ADDRESS, CA, TOKEN, one_line};
pub(crate) use service::{BatchPools, Change, Surroundings};
pub(crate) use settings::Settings;
pub(crate) use system::Grounds;
pub(super) use system::{Purpose, Submission, System, Unanswered};
pub(crate) use view::{AllocationView, BatchPoolView};

/// How batch systems are asked.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    pub slurm: Waits,
    pub kubernetes: Waits,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// The time between two looks at the queue while a pool has jobs or wants some.
    pub poll: Duration,
    /// How long a request may take before it is given up.
    pub patience: Duration,
    /// How long a submission without an answer may take to show up in the queue.
    pub settle: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        let waits = |seconds: [u64; 3]| {
            let [poll, patience, settle] = seconds.map(Duration::from_secs);
            Waits { poll, patience, settle }
        };
        Self { slurm: waits([30, 60, 60]), kubernetes: waits([5, 30, 30]) }
    }
}
