//! Timers: what is due when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vocabulary::{StageKey, WorkerId};

use crate::time::Timestamp;

/// Something that happens unless it is postponed. At equal times they fire in this order: a worker that is gone need
/// not be told that its lease has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A worker has been silent for so long that it counts as gone.
    WorkerSilent(WorkerId),
    /// The lease of a running stage's attempt expires.
    LeaseExpired(StageKey),
    /// A stage may be retried.
    BackoffOver(StageKey),
    /// A worker that rests may be given a stage again.
    RestOver(WorkerId),
}

/// The pending timers, each at one time.
///
/// Most timers are postponed over and over and never fire: every heartbeat postpones two. A postponed timer therefore
/// keeps its place in the queue, and is moved only when that time comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    /// Each at its time or earlier.
    queue: BTreeSet<(Timestamp, Timer)>,
    set: BTreeMap<Timer, Set>,
}

#[derive(Debug, Clone, Copy)]
struct Set {
    at: Timestamp,
    /// Its time in the queue.
    queued: Timestamp,
}

impl Timers {
    /// Sets or postpones a timer.
    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        match self.set.get_mut(&timer) {
            Some(set) if set.queued <= at => set.at = at,
            _ => {
                self.cancel(timer);
                self.set.insert(timer, Set { at, queued: at });
                self.queue.insert((at, timer));
            }
        }
    }

    /// Cancels a timer.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(set) = self.set.remove(&timer) {
            self.queue.remove(&(set.queued, timer));
        }
    }

    /// Postpones every timer that waits for somebody's silence.
    pub(crate) fn put_off_silences(&mut self, by: Duration) {
        for (timer, set) in &mut self.set {
            if matches!(timer, Timer::WorkerSilent(_) | Timer::LeaseExpired(_)) {
                set.at = set.at + by;
            }
        }
    }

    /// When a timer fires, if it is set.
    pub(crate) fn when(&self, timer: Timer) -> Option<Timestamp> {
        self.set.get(&timer).map(|set| set.at)
    }

    /// The stages whose back-off is over by then.
    pub(crate) fn backoffs_over_by(&self, at: Timestamp) -> impl Iterator<Item = StageKey> {
        let [first, last] = [[0; 32], [0xff; 32]].map(|bytes| Timer::BackoffOver(StageKey::from_bytes(bytes)));
        self.set.range(first..=last).filter_map(move |(timer, set)| match timer {
            Timer::BackoffOver(stage) if set.at <= at => Some(*stage),
            _ => None,
        })
    }

    /// When the next timer fires, or earlier.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(queued, _)| *queued)
    }

    /// Removes the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        loop {
            let (queued, timer) = self.queue.first().copied().filter(|(queued, _)| *queued <= now)?;
            self.queue.pop_first();
            match self.set.get_mut(&timer) {
                // It was postponed. It fires after those due before it, if it is due at all.
                Some(set) if set.at > queued => {
                    set.queued = set.at;
                    self.queue.insert((set.at, timer));
                }
                _ => {
                    self.set.remove(&timer);
                    return Some(timer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(id: u8) -> Timer {
        Timer::LeaseExpired(StageKey::from_bytes([id; 32]))
    }

    #[test]
    fn timers_go_off_in_the_order_of_the_times_they_were_put_off_to() {
        let mut timers = Timers::default();
        for (id, at) in [(1, 10), (2, 20), (3, 30)] {
            timers.set(timer(id), Timestamp(at));
        }
        timers.set(timer(1), Timestamp(25));
        timers.set(timer(3), Timestamp(15));
        timers.set(timer(2), Timestamp(40));
        timers.cancel(timer(2));
        timers.put_off_silences(Duration::from_millis(100));
        assert_eq!([1, 2, 3].map(|id| timers.when(timer(id))), [Some(Timestamp(125)), None, Some(Timestamp(115))]);
        assert!(timers.next() <= Some(Timestamp(115)));
        assert_eq!(timers.pop_due(Timestamp(114)), None);
        assert_eq!(timers.next(), Some(Timestamp(115)));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(Timestamp(200))).collect();
        assert_eq!(due, [timer(3), timer(1)]);
        assert_eq!(timers.next(), None);
    }
}
