//! How often a campaign tries a stage again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;

/// How many attempts at a stage may end in each way before it is given up (with a limit of 2, the third such end is the
/// last), and how long the stage waits before the next attempt.
///
/// The ends are counted apart because they mean different things: a stage that was often preempted is not a bad stage.
/// Retries belong to a plan and not to a stage, because they decide none of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Attempts that never began to train because the worker could not be reached or could not fetch what it needed,
    /// counted since the stage last progressed.
    pub not_started: u32,
    /// Attempts that lost their worker or were handed back, counted since the stage last progressed.
    pub preempted: u32,
    /// Attempts that ended in an error, counted over the life of the stage.
    pub failed: u32,
    /// The wait after the first end that is not a preemption, in milliseconds. It doubles with each further one.
    pub backoff_ms: u64,
    /// The longest wait, in milliseconds.
    pub longest_backoff_ms: u64,
}

impl Retries {
    /// The defaults of a recipe.
    pub const DEFAULT: Self =
        Self { not_started: 5, preempted: 20, failed: 2, backoff_ms: 1_000, longest_backoff_ms: 300_000 };

    /// The wait after the `ends`-th end of a kind, counted from 1.
    #[must_use]
    pub fn wait_after(&self, ends: u32) -> Duration {
        let [first, longest] = [self.backoff_ms, self.longest_backoff_ms].map(Duration::from_millis);
        Backoff { first, longest }.wait_after(ends)
    }

    /// The limits for a stage that two campaigns want: the larger one of each.
    #[must_use]
    pub fn or_more_patient(&self, other: &Self) -> Self {
        Self {
            not_started: self.not_started.max(other.not_started),
            preempted: self.preempted.max(other.preempted),
            failed: self.failed.max(other.failed),
            backoff_ms: self.backoff_ms.max(other.backoff_ms),
            longest_backoff_ms: self.longest_backoff_ms.max(other.longest_backoff_ms),
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let retries = Retries { backoff_ms: 2_000, longest_backoff_ms: 15_000, ..Retries::DEFAULT };
        assert_eq!([1, 2, 3, 4, 99].map(|ends| retries.wait_after(ends).as_secs()), [2, 4, 8, 15, 15]);
    }

    #[test]
    fn of_two_the_more_patient_one_counts() {
        let one = Retries { failed: 9, ..Retries::DEFAULT };
        let other = Retries { preempted: 0, backoff_ms: 5_000, ..Retries::DEFAULT };
        let both = Retries { failed: 9, backoff_ms: 5_000, ..Retries::DEFAULT };
        assert_eq!((one.or_more_patient(&other), other.or_more_patient(&one)), (both, both));
    }
}
