//! What is due when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use recipes::{StageKey, WorkerId};

use crate::time::Timestamp;

/// Something that happens unless it is put off. At equal times, in this order: a worker that is gone is not told that
/// its lease has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A worker has been silent for so long that it is taken for gone.
    WorkerSilent(WorkerId),
    /// The attempt of a running stage is over.
    LeaseExpired(StageKey),
    /// A stage may be tried again.
    BackoffOver(StageKey),
}

/// The set timers, each at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Timestamp, Timer)>,
    times: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets a timer, or puts it off.
    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        self.cancel(timer);
        self.times.insert(timer, at);
        self.by_time.insert((at, timer));
    }

    /// Makes sure that a timer does not go off.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.times.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// Puts off everything that rests on somebody's silence.
    pub(crate) fn put_off_silences(&mut self, by: Duration) {
        let of_silence = |timer: &Timer| matches!(timer, Timer::WorkerSilent(_) | Timer::LeaseExpired(_));
        let set: Vec<_> = self.times.iter().filter(|(timer, _)| of_silence(timer)).map(|(it, at)| (*it, *at)).collect();
        for (timer, at) in set {
            self.set(timer, at + by);
        }
    }

    /// When a timer goes off, if it is set.
    pub(crate) fn when(&self, timer: Timer) -> Option<Timestamp> {
        self.times.get(&timer).copied()
    }

    /// When the next one goes off.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}
