//! Reading checkpoints beside the driver: those that workers wrote, and those that they cannot use.

use scheduler::Event;
use tracing::{info, warn};
use vocabulary::{AttemptKey, StageKey, WorkerId};

use super::batch::{Batch, Start};
use super::conversation::{Checking, Verifying};
use super::from_worker::UnusableStart;
use super::input::Input;
use super::{Driver, RunError};
use crate::store::{CommittedCheckpoint, Store, StoreError};
use crate::verify::{self, CheckpointClaim, CheckpointHealth, VerifyError};

impl Driver {
    /// Has a checkpoint read and compared beside the driver. Only this worker's reports wait for it.
    pub(super) fn begin_to_verify(&mut self, worker: WorkerId, sequence: u64, claim: CheckpointClaim) {
        let (storage, inputs, checked) = (self.storage.clone(), self.own_inputs.clone(), claim.clone());
        let verification = self.wait_for(worker, sequence, Checking::Written(claim));
        tokio::spawn(async move {
            let outcome = verify::verify_patiently(storage.as_ref(), &checked, verify::FIRST_WAIT).await;
            // The driver may have stopped. The worker then reports it again to the next one.
            let _ = inputs.send(Input::Verified { worker, verification, outcome }).await;
        });
    }

    /// Examines a committed checkpoint that a worker cannot use. The worker's word alone is not believed.
    pub(super) fn begin_to_examine(&mut self, worker: WorkerId, sequence: u64, key: AttemptKey, start: UnusableStart) {
        let (storage, store, inputs) = (self.storage.clone(), self.store.clone(), self.own_inputs.clone());
        let data = self.scheduler.stage(&start.of).map(|stage| stage.spec.data.dataset);
        let (of, step, hash) = (start.of, start.step, start.manifest_hash.clone());
        warn!(%of, step, %worker, reason = start.reason, "a worker cannot use a committed checkpoint");
        let verification = self.wait_for(worker, sequence, Checking::Start { key, start });
        tokio::spawn(async move {
            let found = match (committed(store.as_ref(), of, step, &hash).await, data) {
                (Ok(Some(committed)), Some(data)) => {
                    Ok(Some(verify::examine(storage.as_ref(), &committed, &data, verify::FIRST_WAIT).await))
                }
                (Ok(_), _) => Ok(None),
                (Err(error), _) => Err(error),
            };
            let _ = inputs.send(Input::Examined { worker, verification, found }).await;
        });
    }

    fn wait_for(&mut self, worker: WorkerId, sequence: u64, what: Checking) -> u64 {
        self.verifications += 1;
        let id = self.verifications;
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.verifying = Some(Verifying { id, sequence, what });
        }
        id
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
            // It is as if it did not exist. A stage is not done without its last one.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(%stage, %attempt, step, %worker, error, "a checkpoint was reported that cannot be committed");
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
            Some(CheckpointHealth::Sound) => {
                let reason = format!("{reason}; the coordinator can read it");
                Event::AttemptFailed { worker, key, reason, started: false }
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
        tokio::spawn(async move {
            let _ = inputs.send(Input::StartGone { worker, key, of, step }).await;
        });
    }
}

/// The row of a checkpoint, if it still has this hash.
async fn committed(
    store: &dyn Store,
    stage: StageKey,
    step: u64,
    manifest_hash: &str,
) -> Result<Option<CommittedCheckpoint>, StoreError> {
    let row = store.checkpoint(stage, step).await?;
    Ok(row.filter(|row| row.manifest_hash == manifest_hash))
}
