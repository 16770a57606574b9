//! All workers that are known to be alive, found by what they have room for and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocabulary::{Abilities, AttemptKey, Needs, StageKey, WorkerId};

use super::health::Rest;
use super::stage::StageRecord;
use super::worker::{MOST_HELD, Slot, Worker};
use crate::shared::SharedMap;

/// The workers, and who of them is idle. The best one for a stage is found without a look at all others.
///
/// - Invariant: `idle` has exactly those that could be given something now, under what they can do; `holders` exactly what is
///   in their `holds`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// Those that could be given something by what they can do, the ones with the least memory first. Few fleets have
    /// workers of more than a few kinds.
    idle: BTreeMap<Abilities, BTreeSet<(u64, WorkerId)>>,
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
        let holds = Vec::clone(&worker.holds);
        self.known.insert(id, Worker { holds: Arc::default(), ..worker });
        self.set_holding(id, holds);
        self.note_idleness(id);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) {
        self.set_holding(id, Vec::new());
        let Some(worker) = self.known.remove(&id) else { return };
        self.take_from_idle(id, &worker.can, worker.room());
    }

    /// A worker has the last checkpoints of these stages at hand, and no others; the latest last. No more than the latest
    /// are remembered.
    pub(crate) fn set_holding(&mut self, id: WorkerId, mut holds: Vec<StageKey>) {
        let Some(worker) = self.known.get_mut(&id) else { return };
        holds.drain(..holds.len().saturating_sub(MOST_HELD));
        let before = std::mem::replace(&mut worker.holds, Arc::new(holds));
        for stage in before.iter() {
            if let Some(holders) = self.holders.get_mut(stage) {
                holders.remove(&id);
                if holders.is_empty() {
                    self.holders.remove(stage);
                }
            }
        }
        for stage in worker.holds.iter() {
            match self.holders.get_mut(stage) {
                Some(holders) => {
                    holders.insert(id);
                }
                None => {
                    self.holders.insert(*stage, BTreeSet::from([id]));
                }
            }
        }
    }

    /// A worker has the last checkpoint of a stage at hand besides what it had.
    pub(crate) fn note_holding(&mut self, id: WorkerId, stage: StageKey) {
        let Some(worker) = self.known.get(&id) else { return };
        let holds = worker.holds.iter().copied().filter(|held| *held != stage).chain([stage]).collect();
        self.set_holding(id, holds);
    }

    /// What a worker was told to drop besides what its slot is taken by.
    pub(crate) fn also_dropping(&mut self, id: WorkerId) -> Option<&mut BTreeSet<AttemptKey>> {
        self.known.get_mut(&id).map(|worker| &mut worker.also_dropping)
    }

    /// A worker is given nothing while it rests; `None` ends that.
    pub(crate) fn set_rest(&mut self, id: WorkerId, rest: Option<Rest>) {
        if let Some(worker) = self.known.get_mut(&id) {
            worker.rest = rest;
        }
        self.note_idleness(id);
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

    /// Puts a worker among the idle ones that can do as much, or takes it from there.
    fn note_idleness(&mut self, id: WorkerId) {
        let Some(worker) = self.known.get(&id) else { return };
        if worker.is_idle() {
            let place = (worker.room(), id);
            match self.idle.get_mut(&worker.can) {
                Some(idle) => drop(idle.insert(place)),
                None => drop(self.idle.insert(worker.can.clone(), BTreeSet::from([place]))),
            }
        } else {
            let (can, room) = (worker.can.clone(), worker.room());
            self.take_from_idle(id, &can, room);
        }
    }

    fn take_from_idle(&mut self, id: WorkerId, can: &Abilities, room: u64) {
        let Some(idle) = self.idle.get_mut(can) else { return };
        idle.remove(&(room, id));
        if idle.is_empty() {
            self.idle.remove(can);
        }
    }

    /// Whether there is nobody to give something to.
    pub(crate) fn none_is_idle(&self) -> bool {
        self.idle.is_empty()
    }

    /// Memory of the largest idle worker that can do this; `None` without such a worker.
    pub(crate) fn largest_idle(&self, needs: &Needs) -> Option<u64> {
        self.idle_for(needs).filter_map(|idle| idle.last()).map(|(room, _)| *room).max()
    }

    fn idle_for(&self, needs: &Needs) -> impl Iterator<Item = &BTreeSet<(u64, WorkerId)>> {
        self.idle.iter().filter(|(can, _)| can.allow(needs)).map(|(_, idle)| idle)
    }

    /// The best idle worker for a stage or an evaluation, if it fits on any that can do it.
    ///
    /// Not the one it has just failed on, if there is another; rather one that has the parent's checkpoint; of those the
    /// one with the least memory, which leaves the larger ones to larger stages.
    pub(crate) fn choose(&self, record: &StageRecord) -> Option<WorkerId> {
        let least = (record.memory_needed, WorkerId::from_bytes([0; 8]));
        let is_other = |(_, id): &&(u64, WorkerId)| !self.has_failed_on(record, id);
        let held = record.work.parent().and_then(|parent| self.holders.get(&parent)).into_iter().flatten();
        let held = held.filter_map(|id| self.known.get(id).map(|worker| (worker, (worker.room(), *id))));
        let able = held.filter(|(worker, _)| worker.is_idle() && worker.can.allow(&record.needs));
        let holders: BTreeSet<_> = able.map(|(_, place)| place).filter(|place| *place >= least).collect();
        let fitting = || self.idle_for(&record.needs).map(|idle| idle.range(least..));
        let other = || fitting().filter_map(|mut idle| idle.find(is_other)).min();
        let any = || fitting().filter_map(|mut idle| idle.next()).min();
        let other_first = holders.iter().find(is_other).or_else(other);
        other_first.or(holders.first()).or_else(any).map(|(_, id)| *id)
    }

    fn has_failed_on(&self, record: &StageRecord, id: &WorkerId) -> bool {
        let Some(failed_on) = &record.failed_on else { return false };
        self.known.get(id).is_some_and(|worker| worker.name == *failed_on)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vocabulary::{Attempt, Evaluation, Stage, StageRole, StageSpec, Work, WorkKind, sample};

    use super::*;
    use crate::state::health::RestReason;
    use crate::state::stage::StageState;
    use crate::time::Timestamp;

    /// The choice as a look at every worker makes it.
    fn choose_from_all(workers: &Workers, record: &StageRecord) -> Option<WorkerId> {
        let idle = workers.iter().filter(|(_, worker)| worker.is_idle() && worker.can.allow(&record.needs));
        let fitting = idle.filter(|(_, worker)| worker.room() >= record.memory_needed);
        let best = fitting.min_by_key(|(id, worker)| {
            let holds_parent = record.work.parent().is_some_and(|parent| worker.holds.contains(&parent));
            (record.failed_on.as_ref() == Some(&worker.name), !holds_parent, worker.room(), **id)
        });
        best.map(|(id, _)| *id)
    }

    fn worker(id: u8) -> WorkerId {
        WorkerId::from_bytes([id; 8])
    }

    /// Some share one.
    fn name(id: u8) -> String {
        format!("worker {}", id / 2)
    }

    fn key(id: u8) -> StageKey {
        StageKey::from_bytes([id; 32])
    }

    proptest! {
        #[test]
        fn the_choice_is_the_one_that_a_look_at_all_of_them_makes(
            changes in prop::collection::vec((0_u8..6, 0_u8..10, prop::option::of(0_u64..4), 0_u8..3), 1..60),
            evaluators in prop::collection::btree_set(0_u8..6, 0..6),
            evaluates: bool,
            needed in 0_u64..4,
            parent in 0_u8..3,
            failed_on in prop::option::of(0_u8..3),
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
                let numerics = Some(u32::from(id)).filter(|numerics| *numerics > 3);
                Abilities { numerics, ..Abilities::of([WorkKind::Train].into_iter().chain(evaluate)) }
            };
            (record.memory_needed, record.failed_on) = (needed, failed_on.map(|id| name(2 * id)));
            for (number, change, memory_bytes, stage) in changes {
                let (can, id, stage) = (kinds(number), worker(number), key(stage));
                match change {
                    0 => workers.insert(id, Worker {
                        name: name(number),
                        memory_bytes,
                        can,
                        slot: Slot::Idle,
                        also_dropping: BTreeSet::new(),
                        holds: Arc::new(vec![stage]),
                        rest: None,
                        unfit: None,
                    }),
                    1 => workers.remove(id),
                    2 => workers.set_slot(id, Slot::Idle),
                    3 => workers.set_slot(id, Slot::Busy(AttemptKey { stage, attempt: Attempt(1) })),
                    4 => workers.set_rest(id, Some(Rest { until: Timestamp(1), why: RestReason::Start })),
                    5 => workers.set_rest(id, None),
                    6 => workers.set_unfit(id, Some("its disk is read-only".to_owned())),
                    7 => workers.set_unfit(id, None),
                    8 => workers.set_holding(id, vec![stage]),
                    _ => workers.note_holding(id, stage),
                }
                prop_assert_eq!(workers.choose(&record), choose_from_all(&workers, &record));
                let idle = || workers.iter().map(|(_, worker)| worker).filter(|worker| worker.is_idle());
                prop_assert_eq!(workers.none_is_idle(), idle().next().is_none());
                for kind in WorkKind::ALL {
                    let needs = Needs { kind, ..record.needs };
                    let able = idle().filter(|worker| worker.can.allow(&needs));
                    prop_assert_eq!(workers.largest_idle(&needs), able.map(Worker::room).max());
                }
            }
        }
    }
}
