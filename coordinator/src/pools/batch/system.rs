//! What a batch system has to do for a pool.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use scheduler::pool::batch::{AllocationId, Job, JobId};

use super::error::BatchError;
use super::folder::Folder;
use super::settings::Settings;
use super::{BatchOptions, Waits};
use crate::pools::kubernetes::Kubernetes;
use crate::pools::slurm::Slurm;

/// One pool, as its batch system has it.
#[async_trait]
pub(in crate::pools) trait System: Send + Sync {
    /// The system's name, for people.
    fn name(&self) -> &'static str;

    fn waits(&self) -> Waits;

    /// Pools that name the same queue are looked at together.
    fn queue_name(&self) -> String;

    /// The script or manifest of an allocation. It holds no secret.
    fn script(&self, allocation: AllocationId) -> String;

    /// Where people find the log of an allocation.
    fn log(&self, allocation: AllocationId) -> String;

    /// Gives the jobs whatever of the pool's folder they need and cannot read there. A submission does it again.
    async fn equip(&self) -> Result<(), BatchError>;

    /// Asks if the system would take such a job, and submits nothing. Returns what it says of it.
    async fn test(&self, example: AllocationId) -> Result<String, BatchError>;

    /// Submits the job of an allocation whose intent is committed. `exclude` are nodes to keep away from.
    async fn submit(&self, allocation: AllocationId, exclude: &[String]) -> Submission;

    /// All jobs of these pools, which share a queue, including those that ended recently.
    async fn queue(&self, pools: &[&str]) -> Result<Vec<Job>, Unanswered>;

    /// Cancels a job if it still waits in the queue. The next look shows what became of it.
    async fn cancel(&self, allocation: AllocationId, job: JobId) -> Result<(), Unanswered>;

    /// The last line of an allocation's log, or an empty string.
    async fn last_log_line(&self, allocation: AllocationId) -> String;

    /// The pool is removed: what it has in the system, besides jobs that are over, is deleted.
    async fn close(&self) -> Result<(), Unanswered>;
}

/// What became of a submission.
#[derive(Debug)]
pub(in crate::pools) enum Submission {
    Job(JobId),
    Refused {
        why: String,
    },
    /// There may be a job.
    Open {
        why: String,
    },
}

/// A batch system gave no answer that can be relied on, for this reason, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::pools) struct Unanswered(pub(in crate::pools) String);

/// Settings shared by all pools.
#[derive(Debug, Clone)]
pub(crate) struct Grounds {
    pub(crate) options: BatchOptions,
    /// Where workers dial, unless a pool says otherwise.
    pub(crate) dial: String,
    /// Where pools have their folders, unless a pool says otherwise.
    pub(crate) folders: PathBuf,
    /// The program that workers run, unless a pool says otherwise.
    pub(crate) program: PathBuf,
}

/// The pool that a system works for.
#[derive(Debug, Clone)]
pub(in crate::pools) struct Purpose {
    pub(in crate::pools) pool: String,
    pub(in crate::pools) mark: [u8; 8],
    pub(in crate::pools) folder: Folder,
    pub(in crate::pools) grounds: Grounds,
}

/// The system that a pool with these settings has its jobs in.
pub(super) fn system(settings: &Settings, purpose: Purpose) -> Arc<dyn System> {
    match settings.clone() {
        Settings::Slurm(settings) => Arc::new(Slurm { settings, purpose }),
        Settings::Kubernetes(settings) => Arc::new(Kubernetes::new(settings, purpose)),
    }
}
