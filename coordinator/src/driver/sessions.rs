//! Sessions and messages of workers, as events.

use scheduler::{Event, Fact, Scheduler, Settings, Slot, Standing, WorkerStatus};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use vocabulary::{AttemptKey, Measured, WorkerId};

use super::batch::{Afterwards, Batch};
use super::conversation::Conversation;
use super::from_worker::{FromWorker, Hello, Progress, Report, ReportBody, UnusableStart};
use super::input::SessionId;
use super::to_worker::{Outgoing, SessionEnd, ToWorker};
use super::{Driver, RunError};
use crate::auth::Caller;
use crate::store::{CurvePoint, Speaker};
use crate::verify::CheckpointClaim;

/// Why a worker that just joined is given nothing.
const UNPROVED: &str = "it has not shown yet that it can use the storage";

/// Why a worker that was asked to go is given nothing more.
const DISMISSED: &str = "its pool asked it to go";

impl Driver {
    pub(super) async fn on_session_opened(
        &mut self,
        session: SessionId,
        hello: Hello,
        caller: Caller,
        outgoing: Outgoing,
        end: CancellationToken,
        batch: &mut Batch,
    ) -> Result<(), RunError> {
        let worker = hello.worker;
        let known = self.speaker_of(worker, batch.speakers.get(&worker).cloned()).await?;
        let speaker = match joined(&known, &caller, hello.secret_hash) {
            Ok(speaker) => speaker,
            Err(why) => {
                warn!(%worker, name = hello.name, %why, "a hello came from somebody else than the worker had before");
                // If the channel is full, the client still sees that the stream ends.
                let _ = outgoing.try_send(Err(why));
                end.cancel();
                return Ok(());
            }
        };
        if self.conversations.get(&worker).is_some_and(|known| known.is_overtaken(&hello)) {
            info!(%worker, name = hello.name, "a hello of an older connection came late and is rejected");
            end.cancel();
            return Ok(());
        }
        if speaker != known {
            batch.speakers.insert(worker, speaker);
        }
        for predecessor in hello.predecessors.iter().copied().filter(|predecessor| *predecessor != worker) {
            let known = self.speaker_of(predecessor, batch.speakers.get(&predecessor).cloned()).await?;
            match joined(&known, &caller, hello.secret_hash) {
                Ok(_) => self.on_replaced(predecessor, batch),
                Err(why) => info!(worker = %predecessor, by = %worker, %why, "is reported gone, which is not believed"),
            }
        }
        if !self.conversations.contains_key(&worker) {
            // It may have talked to an earlier coordinator, or have left and come back within this turn.
            let taken_in = match batch.sequences.get(&worker) {
                Some(sequence) => *sequence,
                None => {
                    let read = self.patience.call("read a stream", || self.store.last_sequence(worker)).await;
                    read.map_err(RunError::Read)?.unwrap_or(0)
                }
            };
            self.conversations.insert(worker, Conversation::new(&hello, taken_in));
        }
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.connect(session, &hello, outgoing, end);
        }
        let (name, version, place) = (&hello.name, &hello.version, &hello.place);
        info!(%worker, name, version, %place, running = hello.running.len(), "a worker joined");
        let Settings { heartbeat_interval, lease_duration, .. } = *self.scheduler.settings();
        let (storage, storage_id) = (self.storage_url.clone(), self.storage_id.to_string());
        batch.welcomes.push((worker, ToWorker::Welcome { heartbeat_interval, lease_duration, storage, storage_id }));
        let Hello { name, memory_bytes, can, running, holds, proves_storage, .. } = hello;
        if !proves_storage {
            warn!(%worker, name, "a worker of an earlier version does not show that it can use the storage");
        }
        let unfit = proves_storage.then(|| UNPROVED.to_owned());
        self.apply(Event::WorkerJoined { worker, name, memory_bytes, can, running, holds, unfit }, batch);
        batch.is_visible = true;
        Ok(())
    }

    pub(super) fn on_session_closed(&mut self, session: SessionId, worker: WorkerId, batch: &mut Batch) {
        let is_replaced = |known: &Conversation| known.is_connected() && !known.is_on(session);
        let Some(conversation) = self.conversations.get_mut(&worker).filter(|known| !is_replaced(known)) else {
            return;
        };
        conversation.close();
        info!(%worker, "a worker's connection ended");
        self.disconnected(worker, batch);
    }

    /// A process is gone. `in_order` says that it left because it was told to or had nothing to do.
    pub(super) fn on_worker_gone(&mut self, worker: WorkerId, in_order: bool, batch: &mut Batch) {
        if let Some(mut conversation) = self.conversations.remove(&worker) {
            conversation.close();
        }
        self.apply(Event::WorkerLeft { worker, in_order }, batch);
        batch.is_visible = true;
    }

    /// A worker's pool has no use for it. One that was given something meanwhile stays.
    pub(super) fn on_dismissed(&mut self, worker: WorkerId, batch: &mut Batch) {
        let is_idle = |status: &WorkerStatus| status.worker == worker && status.slot == Slot::Idle;
        if self.scheduler.workers().any(|status| is_idle(&status)) {
            info!(%worker, "a worker is asked to go");
            self.apply(Event::WorkerUnfit { worker, reason: DISMISSED.to_owned() }, batch);
            batch.afterwards.push(Afterwards::Send { worker, message: ToWorker::Dismissal });
            batch.is_visible = true;
        }
    }

    /// Who speaks for a worker so far. `noted` is who does since this turn.
    async fn speaker_of(&self, worker: WorkerId, noted: Option<Speaker>) -> Result<Speaker, RunError> {
        if let Some(noted) = noted {
            return Ok(noted);
        }
        let read = self.patience.call("read who speaks for a worker", || self.store.speaker(worker)).await;
        read.map_err(RunError::Read)
    }

    /// A process was replaced by another. It is not believed to be gone while it is connected.
    fn on_replaced(&mut self, predecessor: WorkerId, batch: &mut Batch) {
        if self.conversations.get(&predecessor).is_some_and(Conversation::is_connected) {
            warn!(worker = %predecessor, "a worker is reported gone, but is connected");
        } else {
            self.on_worker_gone(predecessor, false, batch);
        }
    }

    pub(super) fn on_message(&mut self, session: SessionId, worker: WorkerId, message: FromWorker, batch: &mut Batch) {
        let Some(conversation) = self.conversations.get_mut(&worker).filter(|known| known.is_on(session)) else {
            return; // The connection was replaced by a newer one.
        };
        match message {
            FromWorker::Heartbeat { running, progress, holds } => {
                conversation.hear_progress(progress.map(|progress| within_its_stage(&self.scheduler, progress)));
                self.apply(Event::HeartbeatReceived { worker, running, holds }, batch);
            }
            FromWorker::StorageProof { trouble: None } => {
                self.apply(Event::WorkerFit { worker }, batch);
                batch.is_visible = true;
            }
            FromWorker::StorageProof { trouble: Some(trouble) } => {
                warn!(%worker, name = conversation.name, trouble, "a worker cannot use the storage and is given nothing");
                self.apply(Event::WorkerUnfit { worker, reason: trouble }, batch);
                batch.is_visible = true;
            }
            FromWorker::Goodbye { in_order } => {
                info!(%worker, in_order, "a worker said goodbye");
                self.on_worker_gone(worker, in_order, batch);
            }
            FromWorker::Report { sequence, report } => {
                conversation.enqueue(sequence, report);
                self.take_in_reports(worker, batch);
            }
        }
    }

    /// Takes in the reports of a worker until one has to wait.
    pub(super) fn take_in_reports(&mut self, worker: WorkerId, batch: &mut Batch) {
        while let Some((sequence, report)) = self.conversations.get_mut(&worker).and_then(Conversation::next_report) {
            let Report { key, body } = report;
            match body {
                ReportBody::Checkpoint(claim) if self.scheduler.is_current(worker, key) => {
                    self.begin_to_verify(worker, sequence, claim);
                    return;
                }
                ReportBody::StartUnusable(start) if self.scheduler.is_current(worker, key) => {
                    self.begin_to_examine(worker, sequence, key, start);
                    return;
                }
                ReportBody::StartUnusable(UnusableStart { of, step, .. }) => {
                    self.apply(Event::StartUnusable { worker, key, of, step }, batch);
                }
                ReportBody::StorageFailed { reason } => {
                    self.apply(Event::StorageFailed { worker, key, reason }, batch);
                }
                ReportBody::Points(points) => self.on_points(worker, key, points, batch),
                ReportBody::Checkpoint(CheckpointClaim { step, .. }) => {
                    // The attempt is over. The scheduler tells the worker.
                    self.apply(Event::CheckpointCommitted { worker, key, step }, batch);
                }
                ReportBody::Completed(Measured { measurements: result, rows }) => {
                    let before = batch.facts.len();
                    self.apply(Event::StageCompleted { worker, key, result }, batch);
                    // Of a result that is not taken, nothing is.
                    if batch.facts[before..].iter().any(|fact| is_result_of(fact, key)) {
                        batch.add_rows(key, rows);
                    }
                }
                ReportBody::Diverged { step, loss } => {
                    self.apply(Event::StageDiverged { worker, key, step, loss }, batch);
                }
                ReportBody::Failed { reason, started } => {
                    self.apply(Event::AttemptFailed { worker, key, reason, started }, batch);
                }
                ReportBody::Released => {
                    self.apply(Event::AttemptReleased { worker, key }, batch);
                }
                ReportBody::RevocationConfirmed => {
                    self.apply(Event::RevocationConfirmed { worker, key }, batch);
                }
            }
            self.taken_in(worker, sequence, batch);
        }
    }

    /// Points count only under the attempt that holds the stage: those of another belong to a curve that was cut off.
    fn on_points(&mut self, worker: WorkerId, key: AttemptKey, points: Vec<CurvePoint>, batch: &mut Batch) {
        let standing = self.scheduler.standing(worker, key);
        let Some(spec) =
            self.scheduler.stage(&key.stage).map(|stage| &stage.spec).filter(|_| standing == Standing::Current)
        else {
            return debug!(stage = %key.stage, attempt = %key.attempt, %worker, ?standing, points = points.len(), "points dropped");
        };
        let tokens_a_step = spec.batch.tokens();
        let inside: Vec<_> = points.into_iter().filter(|point| spec.steps.contains(&point.step)).collect();
        let Some(last) = inside.last().cloned() else { return };
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.hear_point(key, last, tokens_a_step);
        }
        batch.add_points(key, inside);
    }

    pub(super) fn taken_in(&mut self, worker: WorkerId, sequence: u64, batch: &mut Batch) {
        batch.sequences.insert(worker, sequence);
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.take_in(sequence);
        }
    }

    /// Acknowledges to each worker what is durable now.
    pub(super) fn acknowledge(&mut self) {
        for conversation in self.conversations.values_mut() {
            if std::mem::take(&mut conversation.acknowledgement_due) {
                conversation.send(ToWorker::Acknowledgement { sequence: conversation.taken_in });
            }
        }
    }

    /// Sends a message, if the worker is connected. If not, the scheduler repeats it when the worker joins.
    pub(super) fn send(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.send(message);
        }
    }

    /// Ends a worker's connection. It will dial again.
    pub(super) fn close(&mut self, worker: WorkerId) {
        if let Some(conversation) = self.conversations.get_mut(&worker) {
            conversation.close();
        }
    }

    /// Drops what is kept of a worker that the scheduler has forgotten.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        let is_connected = self.conversations.get(&worker).is_some_and(Conversation::is_connected);
        if !is_connected
            && !self.scheduler.knows_worker(&worker)
            && let Some(mut conversation) = self.conversations.remove(&worker)
        {
            conversation.close();
        }
    }

    fn disconnected(&mut self, worker: WorkerId, batch: &mut Batch) {
        self.apply(Event::WorkerDisconnected { worker }, batch);
        self.forget(worker);
        batch.is_visible = true;
    }
}

/// Who speaks for a worker after a hello of this caller with this secret, if that may speak for it. A process that came without a
/// token or secret, as in earlier versions, takes on the first it comes with.
fn joined(known: &Speaker, caller: &Caller, secret: Option<blake3::Hash>) -> Result<Speaker, SessionEnd> {
    let token = caller.token.as_ref().map(|token| token.as_str().to_owned());
    if known.token.is_some() && token.is_some() && known.token != token {
        return Err(SessionEnd::OtherToken);
    }
    let has_secret =
        |hash: &String| secret.is_some_and(|secret| blake3::Hash::from_hex(hash).is_ok_and(|known| known == secret));
    if known.secret_hash.as_ref().is_some_and(|hash| !has_secret(hash)) {
        return Err(SessionEnd::OtherProcess);
    }
    Ok(Speaker {
        token: known.token.clone().or(token),
        secret_hash: known.secret_hash.clone().or_else(|| secret.map(|secret| secret.to_string())),
    })
}

/// Whether an attempt's result was taken.
fn is_result_of(fact: &Fact, key: AttemptKey) -> bool {
    matches!(fact, Fact::StageCompleted { stage, attempt, .. } if *stage == key.stage && *attempt == key.attempt)
}

/// Progress without a step that its stage does not have.
fn within_its_stage(scheduler: &Scheduler, progress: Progress) -> Progress {
    let steps = scheduler.stage(&progress.key.stage).map(|stage| &stage.spec.steps);
    let latest = progress.latest.filter(|point| steps.is_some_and(|steps| steps.contains(&point.step)));
    Progress { latest, ..progress }
}
