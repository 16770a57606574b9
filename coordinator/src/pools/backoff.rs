//! How long a slot waits before it starts another process.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

/// A process that lived this long was no failed start: the next one begins with the shortest wait again.
const LIVED_WELL: Duration = Duration::from_secs(60);

/// Waits that double as long as processes end early.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait after a process that lived so long.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED_WELL {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_bound_and_begin_anew_after_a_long_life() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..10).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(backoff.after(LIVED_WELL), FIRST);
        assert_eq!(backoff.after(Duration::ZERO), 2 * FIRST);
    }
}
