//! What the scheduler could use.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::WorkerId;

use crate::scheduler::Scheduler;

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
    /// What it could use now.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let ready = if self.is_draining { BTreeMap::new() } else { self.ready.count_by_memory() };
        Demand { ready, busy: self.running_on.keys().copied().collect() }
    }
}
