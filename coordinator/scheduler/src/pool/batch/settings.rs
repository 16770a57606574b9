//! What an operator may set of a pool of batch jobs.

use std::time::Duration;

/// Bounds and waits of a pool of batch jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Allocations that are kept whatever the demand.
    pub min: u32,
    /// Allocations at most.
    pub max: u32,
    /// Allocations that may wait in the queue at the same time.
    pub backlog: u32,
    pub workers_per_allocation: u32,
    /// How long a worker may be idle before it is asked to go, and how long a job that nothing needs may wait in the queue.
    pub idle: Duration,
    /// Submissions a minute at most.
    pub per_minute: u32,
    /// How long a submission whose answer was lost may take to show up in the queue.
    pub settle: Duration,
    /// An allocation that is missing from this many answers in a row is over.
    pub misses: u32,
    /// Whether a job that ran and is missing probably failed: the system forgets jobs soon after their end.
    pub absence_is_failure: bool,
}

impl BatchSettings {
    /// An allocation that ends sooner than this, without a hello, never got as far as its worker.
    pub const EARLY: Duration = Duration::from_secs(60);

    /// Early ends on a node before it is avoided.
    pub const STRIKES_OF_NODE: u32 = 2;

    /// An allocation is replaced so long before its end, so that its stage does not wait in the queue.
    pub(super) const AHEAD: Duration = Duration::from_secs(120);

    /// How long a node is avoided.
    pub const AVOIDED: Duration = Duration::from_secs(3600);

    /// Early ends in a row before the pool is paused.
    pub const STRIKES_OF_POOL: u32 = 5;

    /// The wait after a refused submission, which doubles with each further one.
    pub(super) const FIRST_WAIT: Duration = Duration::from_secs(30);
    pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);
}
