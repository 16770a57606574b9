//! Waits between tries, the longer the more of them failed.

use std::time::Duration;

/// Waits that double from a first one up to a longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after the `failures`-th failure in a row, counted from 1.
    #[must_use]
    pub fn wait_after(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(31)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(30) };
        let waits: Vec<_> = (1..=10).map(|failures| backoff.wait_after(failures).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(backoff.wait_after(u32::MAX), Duration::from_secs(30));
    }
}
