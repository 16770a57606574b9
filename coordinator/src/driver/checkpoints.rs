//! Reading checkpoints beside the driver: those that workers wrote, and those that they cannot use.

use scheduler::Event;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use vocabulary::text::one_line;
use vocabulary::{AttemptKey, WorkerId};

use super::batch::{Batch, Start};
use super::conversation::{Checking, Verifying};
use super::from_worker::UnusableStart;
use super::input::Input;
use super::{Driver, RunError};
use crate::store::{CommittedCheckpoint, StoreError};
use crate::verify::{self, CheckpointClaim, CheckpointHealth, VerifyError, WRITTEN};

impl Driver {
    /// Has a checkpoint read and compared beside the driver. Only this worker's reports wait for it.
    pub(super) fn begin_to_verify(&mut self, worker: WorkerId, sequence: u64, claim: CheckpointClaim) {
        let (storage, inputs, checked) = (self.storage.clone(), self.own_inputs.clone(), claim.clone());
        let (slots, id, verification) = (self.verification_slots.clone(), self.storage_id.clone(), self.verification);
        self.wait_for(worker, sequence, Checking::Written(claim), move |number| async move {
            let tell = |error: &VerifyError| {
                // For display. Should the queue be full, the next try says it again.
                let trouble = one_line(error);
                let _ = inputs.try_send(Input::CannotVerifyYet { worker, verification: number, trouble });
            };
            let marker = Some(&id);
            let outcome =
                verify::verify_patiently(storage.as_ref(), marker, &checked, verification, WRITTEN, &slots, tell).await;
            // The driver may have stopped. The worker then reports it again to the next one.
            let _ = inputs.send(Input::Verified { worker, verification: number, outcome }).await;
        });
    }

    /// Examines a committed checkpoint that a worker cannot use. The worker's word alone is not believed.
    pub(super) fn begin_to_examine(&mut self, worker: WorkerId, sequence: u64, key: AttemptKey, start: UnusableStart) {
        let (storage, store, inputs) = (self.storage.clone(), self.store.clone(), self.own_inputs.clone());
        let id = self.storage_id.clone();
        let data = self.scheduler.stage(&start.of).map(|stage| stage.spec.data.dataset);
        let (of, step, hash) = (start.of, start.step, start.manifest_hash.clone());
        warn!(%of, step, %worker, reason = start.reason, "a worker cannot use a committed checkpoint");
        let patience = self.patience.beside();
        self.wait_for(worker, sequence, Checking::Start { key, start }, move |verification| async move {
            let committed = patience.call("read a checkpoint", || store.checkpoint(of, step)).await;
            let committed = committed.map(|row| row.filter(|row| row.manifest_hash == hash));
            let found = match (committed, data) {
                (Ok(Some(committed)), Some(data)) => {
                    Ok(Some(verify::examine(storage.as_ref(), Some(&id), &committed, &data, verify::COMMITTED).await))
                }
                (Ok(_), _) => Ok(None),
                (Err(error), _) => Err(error),
            };
            let _ = inputs.send(Input::Examined { worker, verification, found }).await;
        });
    }

    /// Starts to read, beside the driver, for as long as somebody waits for it: whatever becomes of the worker's connection,
    /// but not beyond the attempt.
    fn wait_for<Reading>(&mut self, worker: WorkerId, sequence: u64, what: Checking, read: impl FnOnce(u64) -> Reading)
    where
        Reading: Future<Output = ()> + Send + 'static,
    {
        let Some(conversation) = self.conversations.get_mut(&worker) else { return };
        self.verifications += 1;
        let id = self.verifications;
        let task = AbortOnDropHandle::new(self.alarm.spawn("the reading of a checkpoint", read(id)));
        conversation.verifying = Some(Verifying { id, sequence, what, trouble: None, _task: task });
    }

    /// A checkpoint cannot be read so far.
    pub(super) fn on_cannot_verify_yet(
        &mut self,
        worker: WorkerId,
        verification: u64,
        trouble: String,
        batch: &mut Batch,
    ) {
        let verifying = self.conversations.get_mut(&worker).and_then(|known| known.verifying.as_mut());
        if let Some(verifying) = verifying.filter(|verifying| verifying.id == verification) {
            verifying.trouble = Some(trouble);
            self.counters.unreadable();
            batch.is_visible = true;
        }
    }

    /// Ends the reading of checkpoints whose attempts are over. Their reports are taken in as what they are by now: late.
    pub(super) fn stop_idle_verifications(&mut self, batch: &mut Batch) {
        // A cancellation names no attempt, and ends some.
        if batch.facts.is_empty() {
            return;
        }
        loop {
            let scheduler = &self.scheduler;
            let stopped = self.conversations.iter_mut().filter_map(|(worker, conversation)| {
                conversation.stop_verifying_unless(|key| scheduler.is_current(*worker, key)).then_some(*worker)
            });
            let stopped: Vec<WorkerId> = stopped.collect();
            if stopped.is_empty() {
                return;
            }
            for worker in stopped {
                self.take_in_reports(worker, batch);
            }
        }
    }

    fn waited_for(&mut self, worker: WorkerId, verification: u64) -> Option<Verifying> {
        let conversation = self.conversations.get_mut(&worker)?;
        conversation.verifying.take_if(|verifying| verifying.id == verification)
    }

    pub(super) fn on_verified(
        &mut self,
        worker: WorkerId,
        verification: u64,
        outcome: Result<u64, VerifyError>,
        batch: &mut Batch,
    ) {
        let Some(Verifying { sequence, what: Checking::Written(claim), .. }) = self.waited_for(worker, verification)
        else {
            return;
        };
        let CheckpointClaim { key, step, manifest_path, manifest_hash } = claim;
        let AttemptKey { stage, attempt } = key;
        match outcome {
            Ok(bytes) => {
                let applied = self.apply(Event::CheckpointCommitted { worker, key, step }, batch);
                if applied.checkpoint_recorded {
                    info!(%stage, %attempt, step, bytes, "a checkpoint is committed");
                    let row = CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes };
                    self.index.add(&row, batch.at_ms);
                    batch.checkpoints.push(row);
                    self.enforce_quotas(stage, batch);
                }
            }
            // It is as if it did not exist. What the worker trains on top of it could not be committed either.
            Err(error) => {
                warn!(
                    %stage, %attempt, step, %worker, error = &error as &dyn std::error::Error,
                    "a checkpoint was reported that cannot be committed"
                );
                let is_impossible = error.is_impossible();
                let reason =
                    format!("the coordinator cannot use {manifest_path} in {}: {}", self.storage_url, one_line(&error));
                self.apply(Event::CheckpointRefused { worker, key, reason, is_impossible }, batch);
            }
        }
        self.taken_in(worker, sequence, batch);
        self.take_in_reports(worker, batch);
    }

    pub(super) fn on_examined(
        &mut self,
        worker: WorkerId,
        verification: u64,
        found: Result<Option<CheckpointHealth>, StoreError>,
        batch: &mut Batch,
    ) -> Result<(), RunError> {
        let Some(Verifying { sequence, what: Checking::Start { key, start }, .. }) =
            self.waited_for(worker, verification)
        else {
            return Ok(());
        };
        let UnusableStart { of, step, reason, .. } = start;
        let event = match found.map_err(RunError::Read)? {
            // Not the stage's fault: this worker may see another storage.
            Some(CheckpointHealth::Sound) => {
                let reason = format!("{reason}; the coordinator can read it in {}", self.storage_url);
                Event::StorageFailed { worker, key, reason }
            }
            Some(CheckpointHealth::Unreachable(error)) => {
                warn!(%of, step, error = &error as &dyn std::error::Error, "the storage does not answer");
                Event::StorageFailed { worker, key, reason }
            }
            Some(CheckpointHealth::Damaged(error)) => {
                warn!(%of, step, error = &error as &dyn std::error::Error, "a committed checkpoint is lost");
                self.apply(Event::CheckpointDamaged { stage: of, step }, batch);
                Event::StartUnusable { worker, key, of, step }
            }
            None => Event::StartUnusable { worker, key, of, step },
        };
        self.apply(event, batch);
        self.taken_in(worker, sequence, batch);
        self.take_in_reports(worker, batch);
        Ok(())
    }

    /// The checkpoint that an attempt starts from was removed in the turn that assigned it. The worker has not heard of the
    /// attempt.
    pub(super) fn start_is_gone(&self, worker: WorkerId, key: AttemptKey, start: Start) {
        let (inputs, Start { of, step }) = (self.own_inputs.clone(), start);
        // The queue may be full of what waits for this very turn.
        self.alarm.spawn("a message to the driver", async move {
            let _ = inputs.send(Input::StartGone { worker, key, of, step }).await;
        });
    }
}
