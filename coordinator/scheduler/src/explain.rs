//! Why a stage waits.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vocabulary::{Abilities, NUMERICS_VERSION, Needs, StageKey};

use crate::scheduler::Scheduler;
use crate::state::stage::{StageRecord, StageState};
use crate::state::worker::Worker;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Why a waiting stage is not being trained. Printed, it is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Every campaign that wanted it was cancelled.
    Unwanted,
    /// It starts from a checkpoint that is not there yet.
    Parent {
        /// Of this stage.
        parent: StageKey,
        /// What has become of that: `waiting` or `running`.
        state: &'static str,
    },
    /// Its last attempt failed, and the next one is not due yet.
    Backoff { until: Timestamp },
    /// No worker is known to be alive.
    NoWorkers,
    /// No worker can do this.
    NoWorkerCan {
        needs: Needs,
        /// The versions of the arithmetic of the workers there are, where none has the one that is needed.
        numerics: Vec<u32>,
    },
    /// No worker that can do it has enough memory.
    NoWorkerLargeEnough {
        /// Roughly what it takes, in bytes.
        needed_bytes: u64,
        /// What the largest worker has.
        largest_bytes: u64,
    },
    /// Every worker that it fits on rests, because it failed lately, or is not fit.
    WorkersRest {
        /// One of them, by name.
        worker: String,
        /// Why, in its case.
        why: String,
    },
    /// Every worker that it fits on has another stage.
    WorkersBusy {
        /// How many stages are before it in the queue.
        ahead: usize,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: &u64| *bytes as f64 / f64::from(1 << 30);
        match self {
            Self::Unwanted => f.write_str("every campaign that wanted it was cancelled"),
            Self::Parent { parent, state } => write!(f, "starts from {}, which is {state}", parent.short()),
            Self::Backoff { until } => write!(f, "its last attempt failed; the next is due at {until}"),
            Self::NoWorkers => f.write_str("there is no worker"),
            Self::NoWorkerCan { needs, numerics } if !numerics.is_empty() => {
                let Needs { numerics: planned, .. } = needs;
                let have = numerics.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                write!(f, "needs a worker of numerics version {planned}, and the workers have {have}")?;
                let is_of_old = *planned < NUMERICS_VERSION;
                if is_of_old { f.write_str(": submit the recipe again to train it with this version") } else { Ok(()) }
            }
            Self::NoWorkerCan { needs, .. } => write!(f, "needs a worker that {needs}"),
            Self::NoWorkerLargeEnough { needed_bytes, largest_bytes } => {
                let [needed, largest] = [needed_bytes, largest_bytes].map(gib);
                write!(f, "needs about {needed:.1} GiB of memory, and the largest worker has {largest:.1} GiB")
            }
            Self::WorkersRest { worker, why } => {
                write!(f, "all workers that could take it are held back; {worker}: {why}")
            }
            Self::WorkersBusy { ahead: 0 } => f.write_str("queued, next in line"),
            Self::WorkersBusy { ahead } => write!(f, "queued, {} in line", ordinal(*ahead + 1)),
        }
    }
}

/// A place in a queue, counted from 1.
fn ordinal(place: usize) -> String {
    const WORDS: [&str; 10] =
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    if let Some(word) = place.checked_sub(1).and_then(|index| WORDS.get(index)) {
        return (*word).to_owned();
    }
    let suffix = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{place}{suffix}")
}

/// Why stages wait. Made once for a look at many: what they have in common is found out once.
#[derive(Debug)]
pub struct Waits<'a> {
    pub(crate) scheduler: &'a Scheduler,
    /// Each stage's place in the queue, counted from 0.
    places: OnceCell<BTreeMap<StageKey, usize>>,
    /// What keeps stages with a demand from workers, by the demand.
    by_demand: RefCell<BTreeMap<(Needs, u64), WaitReason>>,
    /// Places in the queue and workers that were looked at.
    looked_at: Cell<usize>,
}

impl Scheduler {
    /// Why a stage waits; `None` where it does not, or is not known. Whoever asks for many uses [`Self::waits`].
    #[must_use]
    pub fn explain(&self, stage: &StageKey) -> Option<WaitReason> {
        self.waits().explain(stage)
    }

    /// Why stages wait, to be asked for many of them.
    #[must_use]
    pub fn waits(&self) -> Waits<'_> {
        Waits { scheduler: self, places: OnceCell::new(), by_demand: RefCell::default(), looked_at: Cell::new(0) }
    }

    fn waits_for_parent(&self, record: &StageRecord) -> Option<WaitReason> {
        let parent = record.work.parent().filter(|_| record.checkpoints.is_empty())?;
        let state = self.ledger.stage_state(&parent)?;
        state.is_open().then(|| WaitReason::Parent { parent, state: state.name() })
    }

    /// What keeps a stage that could start from workers. One that only waits for its turn is the next in line here.
    fn waits_for_worker(&self, record: &StageRecord) -> WaitReason {
        let needed_bytes = record.memory_needed;
        let needs = record.needs;
        let workers = || self.workers.iter().map(|(_, worker)| worker);
        let able = || workers().filter(|worker| worker.can.allow(&needs));
        let largest_bytes = able().map(Worker::room).max();
        let held_back = |worker: &Worker| Some((worker.name.clone(), worker.why_held_back()?));
        let fitting = || able().filter(|worker| worker.room() >= needed_bytes);
        let all_held_back =
            || fitting().map(held_back).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next());
        match largest_bytes {
            None if self.workers.is_empty() => WaitReason::NoWorkers,
            None => {
                let abilities: Vec<_> = workers().map(|worker| &worker.can).collect();
                WaitReason::NoWorkerCan { needs, numerics: other_numerics(&abilities, &needs) }
            }
            Some(largest_bytes) if largest_bytes < needed_bytes => {
                WaitReason::NoWorkerLargeEnough { needed_bytes, largest_bytes }
            }
            Some(_) => match all_held_back() {
                Some((worker, why)) => WaitReason::WorkersRest { worker, why },
                None => WaitReason::WorkersBusy { ahead: 0 },
            },
        }
    }
}

impl Waits<'_> {
    /// Why a stage waits; `None` where it does not, or is not known.
    #[must_use]
    pub fn explain(&self, stage: &StageKey) -> Option<WaitReason> {
        let scheduler = self.scheduler;
        let record = scheduler.ledger.record(stage).filter(|record| record.state == StageState::Waiting)?;
        if record.wanted_by.is_empty() {
            return Some(WaitReason::Unwanted);
        }
        if let Some(reason) = scheduler.waits_for_parent(record) {
            return Some(reason);
        }
        if let Some(until) = scheduler.timers.when(Timer::BackoffOver(*stage)) {
            return Some(WaitReason::Backoff { until });
        }
        let demand = (record.needs, record.memory_needed);
        let known = self.by_demand.borrow().get(&demand).cloned();
        let reason = known.unwrap_or_else(|| {
            self.note(scheduler.workers.iter().count());
            let reason = scheduler.waits_for_worker(record);
            self.by_demand.borrow_mut().insert(demand, reason.clone());
            reason
        });
        Some(match reason {
            WaitReason::WorkersBusy { .. } => WaitReason::WorkersBusy { ahead: self.ahead_of(stage) },
            reason => reason,
        })
    }

    /// How many stages come before this one.
    fn ahead_of(&self, stage: &StageKey) -> usize {
        let places = self.places.get_or_init(|| {
            let order = self.scheduler.ready();
            self.note(order.len());
            order.into_iter().enumerate().map(|(place, stage)| (stage, place)).collect()
        });
        places.get(stage).copied().unwrap_or(0)
    }

    fn note(&self, looked_at: usize) {
        self.looked_at.set(self.looked_at.get() + looked_at);
    }

    /// How many workers and places in the queue were looked at so far: what it costs besides one step for each question.
    #[must_use]
    pub fn looked_at(&self) -> usize {
        self.looked_at.get()
    }
}

/// The versions of the arithmetic of these workers, if none has the one that is needed.
fn other_numerics(workers: &[&Abilities], needs: &Needs) -> Vec<u32> {
    if workers.iter().any(|can| can.has_numerics(needs)) {
        return Vec::new();
    }
    workers.iter().filter_map(|can| can.numerics).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn places_are_words_and_then_numbers() {
        let places = [1, 5, 10, 11, 12, 13, 21, 22, 23, 24, 111, 113, 121].map(ordinal);
        let expected = [
            "first", "fifth", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "24th", "111th", "113th",
            "121st",
        ];
        assert_eq!(places, expected);
    }
}
