//! The allocations of a pool, as far as they were observed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vocabulary::WorkerId;

use super::settings::PoolSettings;
use crate::time::Timestamp;

/// The number of an allocation in its pool, from 1 to the pool's maximum. It is used again once its allocation has ended,
/// so a pool never has more allocations than numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationNumber(pub u32);

impl fmt::Display for AllocationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a pool sees of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is there, or asked for.
    Alive {
        /// The identity that its worker says hello under.
        worker: WorkerId,
    },
    /// It ended since the last look.
    Ended(Ending),
}

/// Whether it helps to replace an allocation that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another may do better.
    Replaceable,
    /// Its worker said that it cannot work as it is configured. Neither can another.
    Hopeless,
}

/// What has become of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationState {
    /// It is there, or asked for.
    Alive {
        /// The identity of its worker.
        worker: WorkerId,
        /// When it was first known.
        since: Timestamp,
        /// Since when its worker has no stage; `None` while it has one.
        idle_since: Option<Timestamp>,
        /// Whether it was told to go.
        is_released: bool,
    },
    /// It ended, and may be replaced from this time on.
    Ended {
        /// The end of the back-off.
        replace_at: Timestamp,
    },
    /// It ended, and is not replaced.
    Abandoned,
}

/// All allocations that a pool has, and those that ended and are to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocations {
    states: BTreeMap<AllocationNumber, AllocationState>,
    /// How often in a row each ended early, or could not be submitted.
    failures: BTreeMap<AllocationNumber, u32>,
}

impl Allocations {
    /// What has become of each that is known.
    pub fn iter(&self) -> impl Iterator<Item = (AllocationNumber, AllocationState)> {
        self.states.iter().map(|(number, state)| (*number, *state))
    }

    /// What has become of one; `None` where there never was one of this number.
    #[must_use]
    pub fn get(&self, number: AllocationNumber) -> Option<AllocationState> {
        self.states.get(&number).copied()
    }

    /// Those that are there or asked for.
    pub fn alive(&self) -> impl Iterator<Item = AllocationNumber> {
        self.iter().filter(|(_, state)| matches!(state, AllocationState::Alive { .. })).map(|(number, _)| number)
    }

    /// Whether no allocation is alive or will be: each of the maximum was abandoned.
    #[must_use]
    pub fn are_abandoned(&self, settings: &PoolSettings) -> bool {
        let abandoned = self.iter().filter(|(_, state)| *state == AllocationState::Abandoned).count();
        abandoned > 0 && abandoned >= settings.max as usize
    }

    pub fn submitted(&mut self, now: Timestamp, number: AllocationNumber, worker: WorkerId) {
        let state = AllocationState::Alive { worker, since: now, idle_since: Some(now), is_released: false };
        self.states.insert(number, state);
    }

    /// One could not be submitted.
    pub fn not_submitted(&mut self, now: Timestamp, number: AllocationNumber, settings: &PoolSettings) {
        self.back_off(now, number, settings);
    }

    /// One was told to go.
    pub fn released(&mut self, number: AllocationNumber) {
        if let Some(AllocationState::Alive { is_released, .. }) = self.states.get_mut(&number) {
            *is_released = true;
        }
    }

    /// Takes in everything that the pool sees now. What it does not mention is not there any more.
    pub fn observed(&mut self, now: Timestamp, seen: &BTreeMap<AllocationNumber, Seen>, settings: &PoolSettings) {
        for (number, seen) in seen {
            match (seen, self.get(*number)) {
                (Seen::Alive { worker }, Some(AllocationState::Alive { worker: known, .. })) if *worker == known => {}
                (Seen::Alive { worker }, _) => self.submitted(now, *number, *worker),
                (Seen::Ended(ending), Some(AllocationState::Alive { .. })) => {
                    self.ended(now, *number, *ending, settings);
                }
                (Seen::Ended(_), _) => {}
            }
        }
        let silent: Vec<_> = self.alive().filter(|number| !seen.contains_key(number)).collect();
        for number in silent {
            self.ended(now, number, Ending::Replaceable, settings);
        }
    }

    /// Notes which workers have a stage.
    pub fn note_busy(&mut self, now: Timestamp, busy: &BTreeSet<WorkerId>) {
        for state in self.states.values_mut() {
            if let AllocationState::Alive { worker, idle_since, .. } = state {
                *idle_since = if busy.contains(worker) { None } else { idle_since.or(Some(now)) };
            }
        }
    }

    /// When [`scale()`](super::scale()) may order something else although nothing happens until then.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp, settings: &PoolSettings) -> Option<Timestamp> {
        let due = |(_, state): (AllocationNumber, AllocationState)| match state {
            AllocationState::Alive { idle_since: Some(since), is_released: false, .. } => {
                settings.idle_time.map(|idle_time| since + idle_time)
            }
            AllocationState::Ended { replace_at } => Some(replace_at),
            AllocationState::Alive { .. } | AllocationState::Abandoned => None,
        };
        self.iter().filter_map(due).filter(|due| *due > now).min()
    }

    fn ended(&mut self, now: Timestamp, number: AllocationNumber, ending: Ending, settings: &PoolSettings) {
        let Some(AllocationState::Alive { since, is_released, .. }) = self.get(number) else { return };
        if ending == Ending::Hopeless {
            self.states.insert(number, AllocationState::Abandoned);
        } else if is_released {
            self.failures.remove(&number);
            self.states.insert(number, AllocationState::Ended { replace_at: now });
        } else {
            if now.since(since) >= settings.sound_life {
                self.failures.remove(&number);
            }
            self.back_off(now, number, settings);
        }
    }

    fn back_off(&mut self, now: Timestamp, number: AllocationNumber, settings: &PoolSettings) {
        let failures = self.failures.entry(number).or_default();
        *failures = failures.saturating_add(1);
        let replace_at = now + settings.backoff.wait_after(*failures);
        self.states.insert(number, AllocationState::Ended { replace_at });
    }
}
