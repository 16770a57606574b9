//! Handles unusable checkpoints and failing storages.

use std::collections::BTreeSet;

use vocabulary::StageKey;

use super::attempts::Claim;
use crate::effect::Effect;
use crate::fact::{AttemptEnd, Fact, RemovalReason};
use crate::scheduler::Scheduler;
use crate::state::health::RestReason;
use crate::state::worker::Slot;
use crate::time::Timestamp;

impl Scheduler {
    /// Falls back to the checkpoint before it: of the stage, of its parent, or to initial weights. A completed stage is
    /// trained again if another one has to start from it.
    pub(super) fn on_checkpoint_damaged(&mut self, stage: StageKey, step: u64, effects: &mut Vec<Effect>) {
        if self.ledger.record(&stage).is_some_and(|record| record.checkpoints.contains(&step)) {
            self.record(Fact::CheckpointRemoved { stage, step, why: RemovalReason::Damaged }, effects);
        }
    }

    /// Reflects on neither the stage nor the worker if the checkpoint is known to be damaged: the attempt counts as no retry,
    /// and the next one does not wait. A worker that stumbles over any other checkpoint rests.
    pub(super) fn on_start_unusable(
        &mut self,
        now: Timestamp,
        claim: Claim,
        of: StageKey,
        step: u64,
        effects: &mut Vec<Effect>,
    ) {
        if self.passes(now, claim, effects) {
            if !self.ledger.damaged_checkpoints(&of).any(|damaged| damaged == step) {
                self.rest_with_retries(now, claim, RestReason::Start);
            }
            self.end_attempt(now, claim.key.stage, AttemptEnd::StartUnusable { of, step }, effects);
            self.workers.set_slot(claim.worker, Slot::Idle);
        }
    }

    /// A full disk is not the stage's fault. The worker rests, longer each time in a row, so that others may take the
    /// stage and the storage is not queried all the time.
    pub(super) fn on_storage_failed(
        &mut self,
        now: Timestamp,
        claim: Claim,
        reason: String,
        effects: &mut Vec<Effect>,
    ) {
        if !self.passes(now, claim, effects) {
            return;
        }
        self.rest_with_retries(now, claim, RestReason::Storage { reason: reason.clone() });
        self.end_attempt(now, claim.key.stage, AttemptEnd::StorageFailed { reason }, effects);
        self.workers.set_slot(claim.worker, Slot::Idle);
    }

    /// What the worker trains on top of a checkpoint that is not there could never be committed, so the attempt ends with
    /// the first one. The worker and the coordinator may see different storages, which is nobody's fault: the worker rests
    /// once it has stopped.
    pub(super) fn on_checkpoint_refused(
        &mut self,
        now: Timestamp,
        claim: Claim,
        reason: String,
        is_impossible: bool,
        effects: &mut Vec<Effect>,
    ) {
        if !self.passes(now, claim, effects) {
            return;
        }
        if is_impossible {
            return self.break_off(now, claim, reason, effects);
        }
        let Claim { worker, key } = claim;
        self.rest_with_retries(now, claim, RestReason::Storage { reason: reason.clone() });
        self.end_attempt(now, key.stage, AttemptEnd::StorageFailed { reason }, effects);
        self.workers.set_slot(worker, Slot::Dropping(key));
        effects.push(Effect::Refuse { worker, key });
    }

    /// The worker rests, by how often it did since it last got somewhere and by what the stage's retries say.
    fn rest_with_retries(&mut self, now: Timestamp, claim: Claim, why: RestReason) {
        let Some(record) = self.ledger.record(&claim.key.stage) else { return };
        let retries = self.ledger.retries(record);
        let rest = self.health.rest(&record.last_on, now, |rests| retries.wait_after(rests), why);
        self.let_rest(claim.worker, rest);
    }

    pub(super) fn on_collection_requested(&mut self, checkpoints: &[(StageKey, u64)], effects: &mut Vec<Effect>) {
        let holds = self.ledger.holds();
        let may_go = |(stage, step): &&(StageKey, u64)| {
            let known = self.ledger.record(stage).is_some_and(|record| record.checkpoints.contains(step));
            known && holds.of(stage, *step).is_none()
        };
        let going: BTreeSet<(StageKey, u64)> = checkpoints.iter().filter(may_go).copied().collect();
        for (stage, step) in going {
            self.record(Fact::CheckpointRemoved { stage, step, why: RemovalReason::Collected }, effects);
        }
    }
}
