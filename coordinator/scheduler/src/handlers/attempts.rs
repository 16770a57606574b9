//! Reports on attempts.

use vocabulary::{AttemptKey, Measurements, WorkerId};

use crate::effect::Effect;
use crate::fact::{AttemptEnd, Fact};
use crate::result::has_finite_losses;
use crate::scheduler::Scheduler;
use crate::standing::Standing;
use crate::state::worker::Slot;
use crate::time::Timestamp;

/// Who reports on what: this worker claims to hold this stage under this attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) worker: WorkerId,
    pub(crate) key: AttemptKey,
}

impl Scheduler {
    /// The fence that every report passes. A report that counts extends the lease, a repetition of a settled one is dropped,
    /// and all others are refused.
    pub(super) fn passes(&mut self, now: Timestamp, claim: Claim, effects: &mut Vec<Effect>) -> bool {
        let Claim { worker, key } = claim;
        self.heard_from(now, worker);
        match self.standing(worker, key) {
            Standing::Current => {
                self.renew(now, key.stage);
                true
            }
            Standing::Settled => false,
            Standing::Stale => {
                effects.push(Effect::Refuse { worker, key });
                false
            }
        }
    }

    pub(super) fn on_checkpoint_committed(
        &mut self,
        now: Timestamp,
        claim: Claim,
        step: u64,
        effects: &mut Vec<Effect>,
    ) {
        if !self.passes(now, claim, effects) {
            return;
        }
        let AttemptKey { stage, attempt } = claim.key;
        let Some(record) = self.ledger.record(&stage) else { return };
        let Some(end) = record.end_step() else {
            let reason = "it committed a checkpoint of an evaluation, which has none".to_owned();
            return self.break_off(now, claim, reason, effects);
        };
        if step > end {
            let reason = format!("it committed a checkpoint at step {step} of a stage that ends at {end}");
            self.break_off(now, claim, reason, effects);
        } else if record.is_progress(step) {
            self.record(Fact::CheckpointCommitted { stage, attempt, step }, effects);
            self.note_success(&stage);
        }
    }

    pub(super) fn on_stage_completed(
        &mut self,
        now: Timestamp,
        claim: Claim,
        result: Measurements,
        effects: &mut Vec<Effect>,
    ) {
        if !self.passes(now, claim, effects) {
            return;
        }
        let Claim { worker, key: AttemptKey { stage, attempt } } = claim;
        let Some(record) = self.ledger.record(&stage) else { return };
        let has_children = !record.children.is_empty();
        let first = record.first_result.clone();
        let end = self.ledger.evaluated_step(record);
        if !record.may_complete() {
            let reason = format!("it completed a stage without committing the checkpoint at step {end}");
            return self.break_off(now, claim, reason, effects);
        }
        let again = Some(result).filter(has_finite_losses);
        if let Some(first) = first.filter(|first| Some(first) != again.as_ref()) {
            effects.push(Effect::ResultDiffers { key: claim.key, first, again: again.clone() });
        }
        let fact = match again {
            Some(result) => Fact::StageCompleted { stage, attempt, result },
            None => Fact::StageDiverged { stage, attempt, step: end, loss: None },
        };
        self.settle(claim, fact, effects);
        if has_children {
            self.workers.note_holding(worker, stage);
        }
    }

    pub(super) fn on_stage_diverged(
        &mut self,
        now: Timestamp,
        claim: Claim,
        step: u64,
        loss: f64,
        effects: &mut Vec<Effect>,
    ) {
        if !self.passes(now, claim, effects) {
            return;
        }
        let AttemptKey { stage, attempt } = claim.key;
        let Some(record) = self.ledger.record(&stage) else { return };
        let steps = record.work.stage().map(|stage| stage.spec.steps.clone());
        if steps.is_some_and(|steps| !steps.contains(&step)) {
            let reason = format!("it diverged at step {step}, which the stage does not have");
            return self.break_off(now, claim, reason, effects);
        }
        if let Some(first) = record.first_result.clone() {
            effects.push(Effect::ResultDiffers { key: claim.key, first, again: None });
        }
        let loss = Some(loss).filter(|loss| loss.is_finite());
        self.settle(claim, Fact::StageDiverged { stage, attempt, step, loss }, effects);
    }

    pub(super) fn on_attempt_failed(
        &mut self,
        now: Timestamp,
        claim: Claim,
        reason: String,
        started: bool,
        effects: &mut Vec<Effect>,
    ) {
        if self.passes(now, claim, effects) {
            self.end_attempt(now, claim.key.stage, AttemptEnd::Failed { reason, started }, effects);
            self.workers.set_slot(claim.worker, Slot::Idle);
        }
    }

    /// The worker hands its attempt back because it has to leave, so it gets no other.
    pub(super) fn on_attempt_released(&mut self, now: Timestamp, claim: Claim, effects: &mut Vec<Effect>) {
        if self.passes(now, claim, effects) {
            self.end_attempt(now, claim.key.stage, AttemptEnd::Released, effects);
            self.workers.set_slot(claim.worker, Slot::Leaving);
        }
    }

    /// Workers also confirm for attempts that are over already; that frees the slot and changes nothing else.
    pub(super) fn on_revocation_confirmed(&mut self, now: Timestamp, claim: Claim, effects: &mut Vec<Effect>) {
        let Claim { worker, key } = claim;
        self.heard_from(now, worker);
        if self.is_current(worker, key) {
            self.end_attempt(now, key.stage, AttemptEnd::Revoked, effects);
            self.workers.set_slot(worker, Slot::Idle);
        } else if let Some(also_dropping) = self.workers.also_dropping(worker) {
            also_dropping.remove(&key);
            if self.workers.get(&worker).is_some_and(|known| known.slot == Slot::Dropping(key)) {
                self.workers.set_slot(worker, Slot::Idle);
            }
        }
    }

    /// Records the result of a stage, and frees the worker.
    fn settle(&mut self, claim: Claim, fact: Fact, effects: &mut Vec<Effect>) {
        self.note_success(&claim.key.stage);
        self.forget_attempt(claim.worker, claim.key.stage);
        self.record(fact, effects);
        self.workers.set_slot(claim.worker, Slot::Idle);
    }

    /// Ends an attempt whose worker reports something impossible. It may still be training, so its slot is not free.
    pub(super) fn break_off(&mut self, now: Timestamp, claim: Claim, reason: String, effects: &mut Vec<Effect>) {
        let Claim { worker, key } = claim;
        self.end_attempt(now, key.stage, AttemptEnd::ProtocolBroken { reason }, effects);
        self.workers.set_slot(worker, Slot::Dropping(key));
        effects.push(Effect::Refuse { worker, key });
    }
}
