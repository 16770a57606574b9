//! What an operator may set.

use std::time::Duration;

use crate::fact::RetryCount;

/// Durations and limits the decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an attempt lives after the last sign of life from its worker.
    pub lease_duration: Duration,
    /// How often workers are told to send a heartbeat. Several fit into a lease.
    pub heartbeat_interval: Duration,
    /// How long the attempts that ran when the coordinator stopped may take to re-attach to the next one.
    pub restart_grace: Duration,
    /// How often a stage is tried again.
    pub retry_limits: RetryLimits,
    /// How long a stage waits before it is tried again.
    pub backoff: Backoff,
}

impl Default for Settings {
    fn default() -> Self {
        Self::with_lease(Duration::from_secs(30))
    }
}

impl Settings {
    /// The usual settings with a lease of this length, and what depends on it.
    #[must_use]
    pub fn with_lease(lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            heartbeat_interval: lease_duration / 6,
            restart_grace: 2 * lease_duration,
            retry_limits: RetryLimits { not_started: 5, preempted: 20, failed: 2 },
            backoff: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) },
        }
    }
}

/// How many attempts may end in each way before the stage is given up: with a limit of 2, the third end of that kind is
/// the last.
///
/// They are counted apart, because they say different things: a stage that was preempted often is not a bad stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// Attempts that never began to train: the worker could not be reached, or could not fetch what it needed. Since the
    /// stage last got further.
    pub not_started: u32,
    /// Attempts that lost their worker, or were handed back. Since the stage last got further.
    pub preempted: u32,
    /// Attempts that ended in an error, ever.
    pub failed: u32,
}

impl RetryLimits {
    /// The limit of one kind.
    #[must_use]
    pub fn of(&self, count: RetryCount) -> u32 {
        match count {
            RetryCount::NotStarted => self.not_started,
            RetryCount::Preempted => self.preempted,
            RetryCount::Failed => self.failed,
        }
    }
}

/// The wait before a stage is tried again: doubled at each failure, up to a bound. Preemptions do not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after the `failures`-th failure, counted from 1.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(15) };
        assert_eq!([1, 2, 3, 4, 99].map(|failures| backoff.after(failures).as_secs()), [2, 4, 8, 15, 15]);
    }
}
