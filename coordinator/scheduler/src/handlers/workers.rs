//! Workers that join, report and leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocabulary::{Abilities, AttemptKey, StageKey, WorkerId};

use crate::effect::Effect;
use crate::fact::AttemptEnd;
use crate::scheduler::Scheduler;
use crate::standing::Standing;
use crate::state::stage::StageState;
use crate::state::worker::{Slot, Worker};
use crate::time::Timestamp;
use crate::timers::Timer;

/// A worker that joins, as it says that it is.
pub(super) struct Newcomer {
    pub(super) name: String,
    pub(super) memory_bytes: Option<u64>,
    pub(super) can: Abilities,
    pub(super) holds: Vec<StageKey>,
    pub(super) unfit: Option<String>,
}

impl Scheduler {
    /// Reconciles what the worker holds with what the ledger says. An attempt in both continues. One that only the worker
    /// has is refused. One that only the ledger has is assigned again, for the order never arrived.
    ///
    /// A process that takes the place of another rests as long as that one would have.
    pub(super) fn on_worker_joined(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        newcomer: Newcomer,
        running: &[AttemptKey],
        effects: &mut Vec<Effect>,
    ) {
        let slot_before = self.workers.get(&worker).map(|known| known.slot);
        let Newcomer { name, memory_bytes, can, holds, unfit } = newcomer;
        let (holds, rest) = (Arc::new(self.with_children(holds)), self.health.rest_of(&name, now));
        let (slot, also_dropping) = (Slot::Idle, BTreeSet::new());
        self.timers.cancel(Timer::RestOver(worker));
        self.workers.insert(worker, Worker { name, memory_bytes, can, slot, also_dropping, holds, rest: None, unfit });
        if let Some(rest) = rest {
            self.let_rest(worker, rest);
        }
        self.heard_from(now, worker);
        self.reconcile_held(now, worker, running, effects);

        let Some(&stage) = self.running_on.get(&worker) else { return };
        let Some(&StageState::Running { attempt, .. }) = self.ledger.stage_state(&stage) else { return };
        let key = AttemptKey { stage, attempt };
        let in_hand = running.contains(&key);
        if in_hand && !self.is_wanted(&stage) {
            self.workers.set_slot(worker, Slot::Dropping(key));
            effects.push(Effect::Revoke { worker, key });
        } else if in_hand {
            self.workers.set_slot(worker, Slot::Busy(key));
        } else if !self.is_wanted(&stage)
            || slot_before.is_some_and(|slot| slot == Slot::Dropping(key))
            || self.has_something_to_drop(worker)
        {
            // In the last case the order went to a dead connection, and now the slot is not free for it.
            self.end_attempt(now, stage, AttemptEnd::Revoked, effects);
        } else if self.confirmed.contains(&stage) {
            self.end_attempt(now, stage, AttemptEnd::Lost, effects);
        } else if let Some((of, step)) = self.ledger.lost_start(&stage) {
            self.end_attempt(now, stage, AttemptEnd::StartUnusable { of, step }, effects);
        } else {
            self.workers.set_slot(worker, Slot::Busy(key));
            self.assign(now, worker, key, effects);
        }
    }

    pub(super) fn on_heartbeat_received(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        running: &[AttemptKey],
        holds: Option<Vec<StageKey>>,
        effects: &mut Vec<Effect>,
    ) {
        if self.workers.contains(&worker) {
            self.heard_from(now, worker);
            if let Some(holds) = holds {
                let holds = self.with_children(holds);
                self.workers.set_holding(worker, holds);
            }
            self.reconcile_held(now, worker, running, effects);
        } else {
            effects.push(Effect::CloseSession { worker });
        }
    }

    /// Extends the leases of what the worker holds, and has it drop what it should not hold.
    fn reconcile_held(&mut self, now: Timestamp, worker: WorkerId, running: &[AttemptKey], effects: &mut Vec<Effect>) {
        for key in running.iter().copied().collect::<BTreeSet<_>>() {
            match self.standing(worker, key) {
                Standing::Current => self.renew(now, key.stage),
                Standing::Settled => {}
                Standing::Stale => self.have_it_dropped(worker, key, effects),
            }
        }
    }

    fn have_it_dropped(&mut self, worker: WorkerId, key: AttemptKey, effects: &mut Vec<Effect>) {
        let Some(slot) = self.workers.get(&worker).map(|known| known.slot) else { return };
        match slot {
            slot if slot == Slot::Dropping(key) => return, // It was told.
            Slot::Idle => self.workers.set_slot(worker, Slot::Dropping(key)),
            Slot::Dropping(_) => {
                let is_news = self.workers.also_dropping(worker).is_some_and(|known| known.insert(key));
                if !is_news {
                    return; // Likewise.
                }
            }
            Slot::Busy(_) | Slot::Leaving => {}
        }
        effects.push(Effect::Refuse { worker, key });
    }

    /// An idle worker without a connection gets no assignment, for it would not hear of it.
    pub(super) fn on_worker_disconnected(&mut self, worker: WorkerId) {
        if self.workers.get(&worker).is_some_and(|known| matches!(known.slot, Slot::Idle | Slot::Leaving)) {
            self.forget_worker(worker);
        }
    }

    /// An assignment may cross the goodbye of its worker on the way. Then nobody failed.
    pub(super) fn on_worker_left(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        in_order: bool,
        effects: &mut Vec<Effect>,
    ) {
        self.forget_worker(worker);
        if let Some(&stage) = self.running_on.get(&worker) {
            let why = match self.may_have_begun(&stage) {
                false if in_order => AttemptEnd::Declined,
                started => AttemptEnd::WorkerLeft { started },
            };
            self.end_attempt(now, stage, why, effects);
        }
    }

    pub(super) fn forget_worker(&mut self, worker: WorkerId) {
        self.timers.cancel(Timer::WorkerSilent(worker));
        self.timers.cancel(Timer::RestOver(worker));
        self.workers.remove(worker);
    }

    fn has_something_to_drop(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|known| matches!(known.slot, Slot::Dropping(_)))
    }

    /// Those of them that something could start from.
    fn with_children(&self, stages: Vec<StageKey>) -> Vec<StageKey> {
        let has_children =
            |stage: &StageKey| self.ledger.record(stage).is_some_and(|record| !record.children.is_empty());
        stages.into_iter().filter(has_children).collect()
    }

    fn is_wanted(&self, stage: &StageKey) -> bool {
        self.ledger.record(stage).is_some_and(|record| !record.wanted_by.is_empty())
    }
}
