//! From events to the scheduler's orders.

use scheduler::{AttemptEnd, Effect, Event, Fact, PlanError, RemovalReason};
use tracing::{debug, info, warn};
use vocabulary::{AttemptKey, CampaignId, StageKey, WorkerId};

use super::batch::{Afterwards, Batch, Start};
use super::to_worker::{Assignment, ToWorker};
use super::{Driver, RunError};
use crate::store::CommittedCheckpoint;

/// The outcome of an event, for whoever raised it.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// The checkpoint was committed: it is new, and of the current attempt.
    pub(super) checkpoint_recorded: bool,
    /// The campaign was accepted now.
    pub(super) accepted: Option<CampaignId>,
    /// How many evaluations were cancelled without the rest of their campaign.
    pub(super) evaluations_cancelled: usize,
    /// Stages and evaluations that are tried again.
    pub(super) retried: Vec<StageKey>,
    /// The plan was not accepted.
    pub(super) rejected: Option<PlanError>,
}

impl Driver {
    /// Has the scheduler handle an event, and adds its orders to the batch.
    pub(super) fn apply(&mut self, event: Event, batch: &mut Batch) -> Applied {
        let now = self.now();
        let refused = match &event {
            Event::CheckpointRefused { key, reason, .. } => Some((*key, reason.clone())),
            _ => None,
        };
        let mut applied = Applied::default();
        for effect in self.scheduler.handle(now, event) {
            match effect {
                Effect::Record(fact) => self.record(fact, &mut applied, batch),
                Effect::Assign { worker, key, resume_from, parent } => {
                    let AttemptKey { stage, attempt } = key;
                    let known = self.conversations.get(&worker);
                    let name = known.map_or("", |known| known.name.as_str());
                    let place = known.map(|known| tracing::field::display(&known.place));
                    info!(%stage, %attempt, %worker, name, place, "assigned");
                    let last_step = |parent| self.scheduler.stage(&parent).map_or(0, |parent| parent.spec.steps.end);
                    let start = match (resume_from, parent) {
                        (Some(step), _) => Some(Start { of: stage, step }),
                        (None, Some(parent)) => Some(Start { of: parent, step: last_step(parent) }),
                        (None, None) => None,
                    };
                    batch.afterwards.push(Afterwards::Assign { worker, key, start });
                }
                Effect::Revoke { worker, key } => {
                    info!(stage = %key.stage, attempt = %key.attempt, %worker, "revoked");
                    // With a lease, the campaign was cancelled, and a last checkpoint counts. After a lost lease nothing does.
                    let holds_lease = self.scheduler.is_current(worker, key);
                    let message = if holds_lease { ToWorker::Recall(key) } else { ToWorker::Revocation(key) };
                    batch.afterwards.push(Afterwards::Send { worker, message });
                }
                Effect::Refuse { worker, key } => {
                    debug!(stage = %key.stage, attempt = %key.attempt, %worker, "refused: the attempt is not this worker's");
                    let reason = refused.as_ref().filter(|(of, _)| *of == key).map(|(_, reason)| reason.clone());
                    let message = ToWorker::Refusal { key, reason: reason.unwrap_or_default() };
                    batch.afterwards.push(Afterwards::Send { worker, message });
                }
                Effect::CloseSession { worker } => batch.afterwards.push(Afterwards::CloseSession { worker }),
                Effect::ForgetWorker { worker } => batch.afterwards.push(Afterwards::ForgetWorker { worker }),
                Effect::ResultDiffers { key, first, again } => {
                    warn!(
                        stage = %key.stage, attempt = %key.attempt, ?first, ?again,
                        "a stage that was trained again came out differently; its first result is kept"
                    );
                }
                Effect::CampaignEnded { campaign } => {
                    info!(%campaign, "a campaign has nothing left to train");
                    batch.is_visible = true;
                }
                Effect::Forget { stages } => {
                    batch.forget(&stages.iter().copied().collect());
                    for stage in stages {
                        let removed: Vec<_> = self.index.of(stage).copied().collect();
                        for checkpoint in removed {
                            self.index.remove(stage, checkpoint.step);
                        }
                    }
                }
                Effect::RejectPlan { error, .. } => applied.rejected = Some(error),
            }
        }
        applied
    }

    fn record(&mut self, fact: Fact, applied: &mut Applied, batch: &mut Batch) {
        self.interruptions.take_note(&fact, std::time::Instant::now());
        self.keep_what_is_wanted(&fact, batch);
        match &fact {
            Fact::CheckpointCommitted { .. } => applied.checkpoint_recorded = true,
            Fact::CampaignAccepted { plan } => applied.accepted = Some(plan.campaign),
            Fact::EvaluationsCancelled { evaluations, .. } => applied.evaluations_cancelled = evaluations.len(),
            Fact::AttemptEnded {
                stage,
                attempt,
                why: why @ (AttemptEnd::Released | AttemptEnd::Declined | AttemptEnd::Revoked),
                ..
            } => {
                info!(%stage, %attempt, %why, "an attempt ended");
            }
            Fact::AttemptEnded { stage, attempt, why, .. } => warn!(%stage, %attempt, %why, "an attempt ended"),
            Fact::CheckpointRemoved { stage, step, why: RemovalReason::Collected } => {
                if let Some(removed) = self.index.remove(*stage, *step) {
                    batch.afterwards.push(Afterwards::DeleteFiles(removed));
                }
            }
            Fact::CheckpointRemoved { stage, step, why: RemovalReason::Damaged } => {
                self.index.remove(*stage, *step);
                warn!(%stage, step, "a committed checkpoint is damaged or gone; the one before it is used");
            }
            Fact::StageReopened { stage } => {
                warn!(%stage, "a trained stage is trained again: its last checkpoint is lost, and another needs it");
            }
            Fact::StageRetried { stage } => {
                info!(%stage, "a stage is tried again");
                applied.retried.push(*stage);
            }
            Fact::StagePoisoned { stage, limit } => warn!(%stage, %limit, "a stage is given up"),
            Fact::StageCompleted { stage, attempt, .. } => info!(%stage, %attempt, "a stage is trained"),
            Fact::StageDiverged { stage, attempt, step, .. } => info!(%stage, %attempt, step, "a stage diverged"),
            _ => {}
        }
        let checkpoint = fact.stage().and_then(|stage| self.scheduler.ledger().checkpoints(&stage).last()).unwrap_or(0);
        batch.record(fact, checkpoint);
    }

    async fn committed(&self, of: StageKey, step: u64) -> Result<Option<CommittedCheckpoint>, RunError> {
        let found = self.patience.call("read a checkpoint", || self.store.checkpoint(of, step)).await;
        found.map_err(RunError::Read)
    }

    /// Sends an assignment, with the checkpoint to start from. That is looked up after the commit, because the same
    /// transaction may have added it.
    pub(super) async fn send_assignment(
        &mut self,
        worker: WorkerId,
        key: AttemptKey,
        start: Option<Start>,
    ) -> Result<(), RunError> {
        let checkpoint = match start {
            None => None,
            Some(Start { of, step }) => match self.committed(of, step).await? {
                Some(checkpoint) => Some(checkpoint),
                None if self.scheduler.ledger().checkpoints(&of).any(|known| known == step) => {
                    return Err(RunError::CheckpointMissing { stage: of, step });
                }
                None => {
                    self.start_is_gone(worker, key, Start { of, step });
                    return Ok(());
                }
            },
        };
        if let Some(assigned) = self.scheduler.work(&key.stage) {
            let (work, cadence) = (assigned.clone(), self.cadence(&key.stage));
            let assignment = Assignment { work, attempt: key.attempt, start: checkpoint, cadence };
            self.send(worker, ToWorker::Assignment(Box::new(assignment)));
        }
        Ok(())
    }
}
