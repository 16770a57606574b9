//! What a batch system shows of its jobs.

use std::fmt;
use std::time::Duration;

use super::allocation::AllocationId;

/// The batch system's number of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is new.
#[derive(Debug, Clone, Copy)]
pub enum Look<'a> {
    /// Only the time and the load.
    Nothing,
    /// A whole answer: every job of the pool that the batch system still knows.
    Jobs(&'a [Job]),
    /// The batch system did not answer, or not to the end.
    Away,
}

/// A job, as the batch system shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub job: JobId,
    pub allocation: AllocationId,
    pub state: JobState,
    /// Why it waits, in the batch system's word.
    pub reason: String,
    /// The node it runs or ran on; `None` where there are several, or none yet.
    pub node: Option<String>,
    /// How long it has run.
    pub used: Duration,
    /// How long it may still run, if that is limited.
    pub left: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Pending,
    /// The batch system could not start it, and holds it back until somebody sees to it.
    Held,
    Running,
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    Completed,
    Failed,
    /// Time limit, preemption, cancellation, a failed node: nothing that the job could help.
    Stopped,
    /// The batch system does not know it any more.
    Gone,
}
