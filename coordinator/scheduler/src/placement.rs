//! Which stage is next. The fleet chooses its worker.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocabulary::{StageKey, WorkKind};

use crate::shared::SharedMap;
use crate::state::stage::StageRecord;

/// A stage's place in the queue: the longest critical path first (so the largest models), then the one that was asked
/// for first, then by key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Priority {
    critical_path: f64,
    order: u64,
    stage: StageKey,
}

impl Priority {
    fn of(record: &StageRecord) -> Self {
        Self { critical_path: record.critical_path, order: record.order, stage: record.key() }
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest_first = other.critical_path.total_cmp(&self.critical_path);
        longest_first.then(self.order.cmp(&other.order)).then(self.stage.cmp(&other.stage))
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

/// What a worker has to have to be given something: the kind of work it has to be able to do, and the memory it needs.
type Demand = (WorkKind, u64);

/// Stages and evaluations that could be handed out now, in order. They are kept apart by what they demand of a worker, of
/// which a campaign has a few values for each model size, so that a small worker finds its next stage without walking past
/// all large ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadyQueue {
    /// Shared with copies of the queue, as the places are.
    by_demand: BTreeMap<Demand, Arc<BTreeSet<Priority>>>,
    places: SharedMap<StageKey, (Demand, Priority)>,
}

impl ReadyQueue {
    /// Puts a stage into its place, wherever it was before.
    pub(crate) fn insert(&mut self, record: &StageRecord) {
        let key = record.key();
        let place = ((record.work.kind(), record.memory_needed), Priority::of(record));
        if self.places.get(&key) != Some(&place) {
            self.remove(&key);
            Arc::make_mut(self.by_demand.entry(place.0).or_default()).insert(place.1);
            self.places.insert(key, place);
        }
    }

    /// Takes a stage out, if it is in.
    pub(crate) fn remove(&mut self, stage: &StageKey) {
        let Some((demand, priority)) = self.places.remove(stage) else { return };
        if let Some(queue) = self.by_demand.get_mut(&demand) {
            Arc::make_mut(queue).remove(&priority);
            if queue.is_empty() {
                self.by_demand.remove(&demand);
            }
        }
    }

    /// The first that fits: `room` has the memory of the largest worker that is idle and can do a kind of work.
    pub(crate) fn first_within(&self, room: impl Fn(WorkKind) -> Option<u64>) -> Option<StageKey> {
        let fitting = |kind| room(kind).map(|room| self.by_demand.range((kind, 0)..=(kind, room)));
        let heads = WorkKind::ALL.into_iter().filter_map(fitting).flatten().filter_map(|(_, queue)| queue.first());
        heads.min().map(|priority| priority.stage)
    }

    /// How many stages and evaluations there are, by the memory they need.
    pub(crate) fn count_by_memory(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for ((_, memory), queue) in &self.by_demand {
            *counts.entry(*memory).or_default() += queue.len();
        }
        counts
    }

    /// All of them, the first to be handed out first.
    pub(crate) fn in_order(&self) -> Vec<StageKey> {
        let mut order: Vec<Priority> = self.places.values().map(|(_, priority)| *priority).collect();
        order.sort_unstable();
        order.into_iter().map(|priority| priority.stage).collect()
    }
}
