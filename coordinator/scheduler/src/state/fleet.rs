//! All workers that are known to be alive, found by what they have room for and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocabulary::{AttemptKey, StageKey, WorkKind, WorkerId};

use super::stage::StageRecord;
use super::worker::{Slot, Worker};
use crate::shared::SharedMap;

/// The workers, and who of them is idle. The best one for a stage is found without a look at all others.
///
/// - Invariant: `idle` has exactly those with an empty slot, under each kind of work they can do, `holders` exactly what is in their `holds`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// Those with an empty slot by what they can do, the ones with the least memory first.
    idle: BTreeMap<WorkKind, BTreeSet<(u64, WorkerId)>>,
    /// Who has a stage's last checkpoint at hand.
    holders: SharedMap<StageKey, BTreeSet<WorkerId>>,
}

impl Workers {
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(crate) fn get(&self, worker: &WorkerId) -> Option<&Worker> {
        self.known.get(worker)
    }

    pub(crate) fn contains(&self, worker: &WorkerId) -> bool {
        self.known.contains_key(worker)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.known.iter()
    }

    /// A worker joined (again): nothing from before counts.
    pub(crate) fn insert(&mut self, id: WorkerId, worker: Worker) {
        self.remove(id);
        for stage in worker.holds.iter() {
            self.note_holder(*stage, id);
        }
        self.known.insert(id, worker);
        self.note_idleness(id);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) {
        let Some(worker) = self.known.remove(&id) else { return };
        for idle in self.idle.values_mut() {
            idle.remove(&(worker.room(), id));
        }
        for stage in worker.holds.iter() {
            if let Some(holders) = self.holders.get_mut(stage) {
                holders.remove(&id);
                if holders.is_empty() {
                    self.holders.remove(stage);
                }
            }
        }
    }

    /// A worker has the last checkpoint of a stage at hand.
    pub(crate) fn note_holding(&mut self, id: WorkerId, stage: StageKey) {
        if let Some(worker) = self.known.get_mut(&id) {
            Arc::make_mut(&mut worker.holds).insert(stage);
            self.note_holder(stage, id);
        }
    }

    fn note_holder(&mut self, stage: StageKey, id: WorkerId) {
        match self.holders.get_mut(&stage) {
            Some(holders) => drop(holders.insert(id)),
            None => drop(self.holders.insert(stage, BTreeSet::from([id]))),
        }
    }

    /// What a worker was told to drop besides what its slot is taken by.
    pub(crate) fn also_dropping(&mut self, id: WorkerId) -> Option<&mut BTreeSet<AttemptKey>> {
        self.known.get_mut(&id).map(|worker| &mut worker.also_dropping)
    }

    /// The storage failed a worker. How often in a row, where the worker is known.
    pub(crate) fn note_storage_failure(&mut self, id: WorkerId) -> Option<u32> {
        let worker = self.known.get_mut(&id)?;
        worker.storage_failures = worker.storage_failures.saturating_add(1);
        Some(worker.storage_failures)
    }

    /// The storage served a worker.
    pub(crate) fn forget_storage_failures(&mut self, id: WorkerId) {
        if let Some(worker) = self.known.get_mut(&id) {
            worker.storage_failures = 0;
        }
    }

    /// A worker is given nothing for this reason; `None` ends that.
    pub(crate) fn set_unfit(&mut self, id: WorkerId, reason: Option<String>) {
        if let Some(worker) = self.known.get_mut(&id) {
            worker.unfit = reason;
        }
        self.note_idleness(id);
    }

    /// Notes what a worker's slot is taken by; nothing where the worker is not known. A slot that would be idle is not
    /// while there is something else to be dropped.
    pub(crate) fn set_slot(&mut self, id: WorkerId, slot: Slot) {
        let Some(worker) = self.known.get_mut(&id) else { return };
        worker.slot = match slot {
            Slot::Idle => worker.also_dropping.pop_first().map_or(Slot::Idle, Slot::Dropping),
            taken => taken,
        };
        self.note_idleness(id);
    }

    /// Puts a worker among the idle ones of each kind of work it can do, or takes it from there.
    fn note_idleness(&mut self, id: WorkerId) {
        let Some(worker) = self.known.get(&id) else { return };
        let place = (worker.room(), id);
        for kind in &worker.can {
            let idle = self.idle.entry(*kind).or_default();
            if worker.slot == Slot::Idle && worker.unfit.is_none() {
                idle.insert(place);
            } else {
                idle.remove(&place);
            }
        }
    }

    /// The most memory that an idle worker has that can do this kind of work; `None` where there is none.
    pub(crate) fn largest_idle(&self, kind: WorkKind) -> Option<u64> {
        self.idle.get(&kind)?.last().map(|(room, _)| *room)
    }

    /// The best idle worker for a stage or an evaluation, if it fits on any that can do it.
    ///
    /// Not the one it has just failed on, if there is another; rather one that has the parent's checkpoint; of those the
    /// one with the least memory, which leaves the larger ones to larger stages.
    pub(crate) fn choose(&self, record: &StageRecord) -> Option<WorkerId> {
        let needed = record.memory_needed;
        let failed_on = record.failed_on;
        let idle = self.idle.get(&record.work.kind())?;
        let is_other = |id: &WorkerId| failed_on != Some(*id);
        let holders = record.work.parent().and_then(|parent| self.holders.get(&parent)).into_iter().flatten();
        let places = holders.filter_map(|id| self.known.get(id).map(|worker| (worker.room(), *id)));
        let holder = places.filter(|place| place.0 >= needed && is_other(&place.1) && idle.contains(place)).min();
        if let Some((_, holder)) = holder {
            return Some(holder);
        }
        let mut fitting = idle.range((needed, WorkerId::from_bytes([0; 8]))..).map(|(_, id)| *id);
        let first = fitting.next()?;
        if is_other(&first) { Some(first) } else { Some(fitting.next().unwrap_or(first)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vocabulary::{Attempt, Evaluation, Stage, StageRole, StageSpec, Work, sample};

    use super::*;
    use crate::state::stage::StageState;

    /// The choice as a look at every worker makes it.
    fn choose_from_all(workers: &Workers, record: &StageRecord) -> Option<WorkerId> {
        let kind = record.work.kind();
        let idle = workers
            .iter()
            .filter(|(_, worker)| worker.slot == Slot::Idle && worker.unfit.is_none() && worker.can.contains(&kind));
        let fitting = idle.filter(|(_, worker)| worker.room() >= record.memory_needed);
        let best = fitting.min_by_key(|(id, worker)| {
            let holds_parent = record.work.parent().is_some_and(|parent| worker.holds.contains(&parent));
            (record.failed_on == Some(**id), !holds_parent, worker.room(), **id)
        });
        best.map(|(id, _)| *id)
    }

    fn worker(id: u8) -> WorkerId {
        WorkerId::from_bytes([id; 8])
    }

    fn key(id: u8) -> StageKey {
        StageKey::from_bytes([id; 32])
    }

    proptest! {
        #[test]
        fn the_choice_is_the_one_that_a_look_at_all_of_them_makes(
            changes in prop::collection::vec((0_u8..6, 0_u8..8, prop::option::of(0_u64..4), 0_u8..3), 1..60),
            evaluators in prop::collection::btree_set(0_u8..6, 0..6),
            evaluates: bool,
            needed in 0_u64..4,
            parent in 0_u8..3,
            failed_on in prop::option::of(0_u8..6),
        ) {
            let mut workers = Workers::default();
            let (key_of_it, parent, size) = (key(9), key(parent), String::new());
            let work = if evaluates {
                let (spec, name) = (sample::evaluation(), String::new());
                Work::Evaluate(Evaluation { key: key_of_it, parent, spec, name, size, seed: 0 })
            } else {
                let spec = StageSpec { steps: 10..100, ..sample::stage() };
                let role = StageRole::Decay;
                Work::Train(Stage { key: key_of_it, parent: Some(parent), spec, role, size, seed: 0 })
            };
            let mut record = StageRecord::new(work, 0, StageState::Waiting);
            let kinds = |id| {
                let evaluate = Some(WorkKind::Evaluate).filter(|_| evaluators.contains(&id));
                [WorkKind::Train].into_iter().chain(evaluate).collect::<BTreeSet<_>>()
            };
            (record.memory_needed, record.failed_on) = (needed, failed_on.map(worker));
            for (id, change, memory_bytes, stage) in changes {
                let (can, id, stage) = (kinds(id), worker(id), key(stage));
                match change {
                    0 => workers.insert(id, Worker {
                        name: String::new(),
                        memory_bytes,
                        can,
                        slot: Slot::Idle,
                        also_dropping: BTreeSet::new(),
                        holds: Arc::new(BTreeSet::from([stage])),
                        storage_failures: 0,
                        unfit: None,
                    }),
                    1 => workers.remove(id),
                    2 => workers.set_slot(id, Slot::Idle),
                    3 => workers.set_slot(id, Slot::Busy(AttemptKey { stage, attempt: Attempt(1) })),
                    4 => workers.set_slot(id, Slot::Resting),
                    6 => workers.set_unfit(id, Some("its disk is read-only".to_owned())),
                    7 => workers.set_unfit(id, None),
                    _ => workers.note_holding(id, stage),
                }
                prop_assert_eq!(workers.choose(&record), choose_from_all(&workers, &record));
                for kind in WorkKind::ALL {
                    let is_idle = |worker: &&Worker| worker.slot == Slot::Idle && worker.unfit.is_none() && worker.can.contains(&kind);
                    let idle = workers.iter().map(|(_, worker)| worker).filter(is_idle);
                    prop_assert_eq!(workers.largest_idle(kind), idle.map(Worker::room).max());
                }
            }
        }
    }
}
