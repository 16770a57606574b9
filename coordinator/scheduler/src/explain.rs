//! Why a stage waits.

use std::fmt;

use vocabulary::StageKey;

use crate::scheduler::Scheduler;
use crate::state::stage::{StageRecord, StageState};
use crate::state::worker::Slot;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Why a stage that waits is not being trained.
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
    Backoff {
        /// When it is.
        until: Timestamp,
    },
    /// There is no worker.
    NoWorkers,
    /// No worker has enough memory.
    NoWorkerLargeEnough {
        /// What it takes, in bytes, roughly.
        needed_bytes: u64,
        /// What the largest worker has.
        largest_bytes: u64,
    },
    /// No worker is at work or free, because the storage failed all of them; they try again after a while.
    WorkersRest,
    /// All workers that it fits on have something else to do.
    WorkersBusy {
        /// How many stages come before it.
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
            Self::NoWorkerLargeEnough { needed_bytes, largest_bytes } => {
                let [needed, largest] = [needed_bytes, largest_bytes].map(gib);
                write!(f, "needs about {needed:.1} GiB of memory, and the largest worker has {largest:.1} GiB")
            }
            Self::WorkersRest => f.write_str("the storage failed its workers, which try again after a while"),
            Self::WorkersBusy { ahead: 0 } => f.write_str("next in line for a worker"),
            Self::WorkersBusy { ahead } => write!(f, "waits for a worker, {ahead} in line before it"),
        }
    }
}

impl Scheduler {
    /// Why a stage waits; `None` where it does not, or is not known.
    #[must_use]
    pub fn explain(&self, stage: &StageKey) -> Option<WaitReason> {
        let record = self.ledger.record(stage).filter(|record| record.state == StageState::Waiting)?;
        if record.wanted_by.is_empty() {
            return Some(WaitReason::Unwanted);
        }
        if let Some(reason) = self.waits_for_parent(record) {
            return Some(reason);
        }
        if let Some(until) = self.timers.when(Timer::BackoffOver(*stage)) {
            return Some(WaitReason::Backoff { until });
        }
        let needed_bytes = record.memory_needed;
        let largest_bytes = self.workers.iter().map(|(_, worker)| worker.room()).max();
        Some(match largest_bytes {
            None => WaitReason::NoWorkers,
            Some(largest_bytes) if largest_bytes < needed_bytes => {
                WaitReason::NoWorkerLargeEnough { needed_bytes, largest_bytes }
            }
            Some(_) if self.workers.iter().all(|(_, worker)| worker.slot == Slot::Resting) => WaitReason::WorkersRest,
            Some(_) => WaitReason::WorkersBusy { ahead: self.ready.ahead_of(stage) },
        })
    }

    fn waits_for_parent(&self, record: &StageRecord) -> Option<WaitReason> {
        let parent = record.stage.parent.filter(|_| record.checkpoints.is_empty())?;
        let state = self.ledger.stage_state(&parent)?;
        state.is_open().then(|| WaitReason::Parent { parent, state: state.name() })
    }
}
