//! What the scheduler could use.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::WorkerId;

use crate::scheduler::Scheduler;
use crate::time::Timestamp;

/// The stages that no worker has, by what they need of a device, and the workers that have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// How many stages could start now if there were a worker for each, by the device memory they need in bytes. Stages
    /// that wait for their parent or for a back-off are not among them.
    pub ready: BTreeMap<u64, usize>,
    /// Workers that have a stage.
    pub busy: BTreeSet<WorkerId>,
}

impl Demand {
    /// How many of the ready stages fit on a device with so many bytes of memory. All do where that is not known.
    #[must_use]
    pub fn fitting(&self, memory_bytes: Option<u64>) -> usize {
        self.ready.range(..=memory_bytes.unwrap_or(u64::MAX)).map(|(_, stages)| stages).sum()
    }
}

impl Scheduler {
    /// How many stages and evaluations could start by then, with no other outcome than time, by the device memory they need in
    /// bytes: those that are ready, and those whose back-off is over by then. What waits for its parent is not among them,
    /// however little the parent has left: the parent's worker takes one of its children.
    #[must_use]
    pub fn ready_by(&self, then: Timestamp) -> BTreeMap<u64, usize> {
        if self.is_draining {
            return BTreeMap::new();
        }
        let mut ready = self.ready.count_by_memory();
        for stage in self.timers.backoffs_over_by(then) {
            let Some(record) = self.ledger.record(&stage).filter(|record| self.ledger.can_start(record)) else {
                continue;
            };
            *ready.entry(record.memory_needed).or_default() += 1;
        }
        ready
    }

    /// What it could use now.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let ready = if self.is_draining { BTreeMap::new() } else { self.ready.count_by_memory() };
        Demand { ready, busy: self.running_on.keys().copied().collect() }
    }
}
