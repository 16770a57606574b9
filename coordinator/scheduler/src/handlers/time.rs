//! Timers: silent workers, expired leases, elapsed back-offs.

use vocabulary::{AttemptKey, StageKey, WorkerId};

use crate::effect::Effect;
use crate::fact::AttemptEnd;
use crate::scheduler::Scheduler;
use crate::state::stage::StageState;
use crate::state::worker::Slot;
use crate::time::Timestamp;
use crate::timers::Timer;

/// A caller that returns after more than this many heartbeats could not have heard any.
const MISSED_HEARTBEATS: u32 = 2;

impl Scheduler {
    /// Time in which the caller was absent is nobody's silence: it was stopped, its machine was suspended, or it hung
    /// in a write. Heartbeats of that time may still be on their way, so leases and silences resume where they were.
    pub(super) fn forgive_absence(&mut self, now: Timestamp) {
        let last = self.last_handled.replace(now).unwrap_or(now);
        let absence = now.since(last);
        if absence > self.settings.heartbeat_interval * MISSED_HEARTBEATS && self.waits_for_somebody() {
            self.timers.put_off_silences(absence);
        }
    }

    /// Whether some worker may fall silent, or some attempt's lease may expire.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        !self.workers.is_empty() || !self.running_on.is_empty()
    }

    pub(super) fn on_time_passed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::WorkerSilent(worker) => self.on_worker_silent(now, worker, effects),
                Timer::LeaseExpired(stage) => self.on_lease_expired(now, stage, effects),
                Timer::BackoffOver(stage) => self.requeue(stage),
                Timer::RestOver(worker) => self.on_rest_over(worker),
            }
        }
    }

    fn on_rest_over(&mut self, worker: WorkerId) {
        self.workers.set_rest(worker, None);
    }

    fn on_worker_silent(&mut self, now: Timestamp, worker: WorkerId, effects: &mut Vec<Effect>) {
        self.forget_worker(worker);
        effects.push(Effect::ForgetWorker { worker });
        if let Some(&stage) = self.running_on.get(&worker) {
            self.expire(now, stage, effects);
        }
    }

    /// A worker that is still heard of, but not with this attempt, may yet receive the assignment: it is told to drop
    /// it, and its slot stays taken until it confirms.
    fn on_lease_expired(&mut self, now: Timestamp, stage: StageKey, effects: &mut Vec<Effect>) {
        let Some(&StageState::Running { worker, attempt }) = self.ledger.stage_state(&stage) else { return };
        self.expire(now, stage, effects);
        if self.workers.contains(&worker) {
            let key = AttemptKey { stage, attempt };
            self.workers.set_slot(worker, Slot::Dropping(key));
            effects.push(Effect::Revoke { worker, key });
        }
    }

    fn expire(&mut self, now: Timestamp, stage: StageKey, effects: &mut Vec<Effect>) {
        let started = self.may_have_begun(&stage);
        self.end_attempt(now, stage, AttemptEnd::LeaseExpired { started }, effects);
    }
}
