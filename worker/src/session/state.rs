//! The session as a value.

use std::mem;

use dial::Secret;
use proto::convert::{self, sent_measurements};
use proto::limits::MAX_LISTED;
use proto::v1::{
    self, AttemptFailed, AttemptReleased, CommitCheckpoint, CurvePoint, CurvePoints, Heartbeat, Hello, Progress,
    RevocationConfirmed, StageCompleted, StageDiverged, StartUnusable, StorageFailed, worker_message::Body,
};
use tracing::{debug, warn};
use vocabulary::{Abilities, AttemptKey, EvaluationKind, Place, Precision, StageKey, WorkerId};

use super::event::{Action, Assignment, Event, Lost, Received, Unprepared};
use crate::pulse::Quiet;
use crate::runner::{Ended, Report, Stop};
use crate::training::StepReport;
use outbox::Queue;

/// The most stages that the coordinator is told of whose last checkpoint is cached: it would keep no more.
const MOST_HELD: usize = 64;

/// What the worker tells about itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The process.
    pub worker: WorkerId,
    /// For people.
    pub name: String,
    /// Its device, for people.
    pub device: String,
    /// Bytes of the device's memory, if known.
    pub memory_bytes: Option<u64>,
    /// What it can do.
    pub can: Abilities,
    /// Predecessors that have ended, possibly without the coordinator knowing.
    pub predecessors: Vec<WorkerId>,
    /// What the process and its predecessors have in common, and nobody else knows.
    pub secret: Secret,
    /// Where it runs.
    pub place: Place,
}

/// The state of the session: the current attempt, and the messages to send.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    connection: Connection,
    /// Connections opened so far.
    connections: u64,
    queue: Queue,
    /// The current attempt: being prepared, in training, or over with a checkpoint still being stored.
    current: Option<Current>,
    /// An attempt that was assigned while the one before it was still being stopped.
    queued: Option<Box<Assignment>>,
    /// Stages whose last checkpoint is cached, the latest last.
    holds: Vec<StageKey>,
    /// Whether they changed since the coordinator was told last.
    has_other_holds: bool,
    latest: Option<Progress>,
    is_leaving: bool,
    /// Whether it leaves without waiting for acknowledgements.
    has_given_up: bool,
    /// Whether the process it speaks for has ended.
    is_of_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Away,
    Greeting,
    Attached,
}

#[derive(Debug)]
struct Current {
    key: AttemptKey,
    /// The step of the last checkpoint; `None` if it leaves none.
    end_step: Option<u64>,
    /// Whether the coordinator revoked it, so that nothing more is reported about it.
    is_revoked: bool,
    /// Whether the coordinator asked for a checkpoint and the slot: what is reported until then counts.
    is_recalled: bool,
    checkpoints_under_way: usize,
    /// Why the last checkpoint taken was not stored, if it was not.
    lost: Option<(u64, Lost)>,
    ended: Option<Ended>,
}

impl Session {
    /// A session that is not connected, with the unacknowledged messages of its predecessors.
    #[must_use]
    pub fn new(identity: Identity, queue: Queue) -> Self {
        Self {
            identity,
            connection: Connection::Away,
            connections: 0,
            queue,
            current: None,
            queued: None,
            holds: Vec::new(),
            has_other_holds: false,
            latest: None,
            is_leaving: false,
            has_given_up: false,
            is_of_ended: false,
        }
    }

    /// A session that says for a process that has ended what it could not. It takes no work, and departs once everything is
    /// acknowledged.
    #[must_use]
    pub fn of_ended(identity: Identity, queue: Queue) -> Self {
        Self { is_leaving: true, is_of_ended: true, ..Self::new(identity, queue) }
    }

    /// Handles an event and returns the actions it leads to.
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Connected => self.on_connected(&mut actions),
            Event::Disconnected => self.connection = Connection::Away,
            Event::Received(received) => self.on_received(received, &mut actions),
            Event::Reported(report) => self.on_reported(report, &mut actions),
            Event::NotPrepared { key, why } => {
                let ended = match why {
                    Unprepared::StartUnusable { checkpoint, reason } => Ended::StartUnusable { checkpoint, reason },
                    Unprepared::StorageFailed { reason } => Ended::StorageFailed { reason },
                    Unprepared::Failed { reason } => Ended::Failed { reason, started: false },
                };
                self.on_attempt_ended(key, ended, &mut actions);
            }
            Event::PreparationStopped { key } => self.on_attempt_ended(key, Ended::Released, &mut actions),
            Event::CheckpointStored { key, checkpoint } => {
                let commit = CommitCheckpoint {
                    attempt: Some(key.into()),
                    step: checkpoint.step,
                    manifest_path: checkpoint.manifest_path,
                    manifest_hash: checkpoint.manifest_hash.to_string(),
                };
                self.on_checkpoint_settled(key, Ok(commit), &mut actions);
            }
            Event::CheckpointLost { key, step, why } => {
                self.on_checkpoint_settled(key, Err((step, why)), &mut actions);
            }
            Event::HeartbeatDue { quiet } => self.on_heartbeat_due(quiet, &mut actions),
            Event::LeaveRequested => self.on_leave_requested(&mut actions),
            Event::GivenUp => {
                self.has_given_up = true;
                self.on_leave_requested(&mut actions);
            }
            Event::Stalled => self.on_stalled(&mut actions),
        }
        self.depart_when_done(&mut actions);
        actions
    }

    /// Sets the stages whose last checkpoint is cached, the latest last, which the next heartbeat and hello report. Only the
    /// latest are told.
    pub fn set_holds(&mut self, mut holds: Vec<StageKey>) {
        holds.drain(..holds.len().saturating_sub(MOST_HELD));
        self.has_other_holds |= self.holds != holds;
        self.holds = holds;
    }

    /// The next message to send, if the connection is ready.
    pub fn next_message(&mut self) -> Option<v1::WorkerMessage> {
        if self.connection == Connection::Attached { self.queue.next_unsent() } else { None }
    }

    /// Whether there is a message to send and the connection is ready.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.connection == Connection::Attached && self.queue.has_unsent()
    }

    /// The process that it speaks for.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.identity.worker
    }

    /// Whether the coordinator welcomed this connection.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.connection == Connection::Attached
    }

    /// Whether it has nothing to train or to evaluate.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.queued.is_none()
    }

    /// Whether there is room for reports of the training thread. Without room, training waits, so that curves have no gaps. A
    /// worker that leaves takes what little still comes: its last checkpoint is behind it.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.queue.is_full() || self.is_leaving || self.current.as_ref().is_none_or(|current| current.is_revoked)
    }

    /// Attempts in training, or ended with an unacknowledged report.
    fn in_hand(&self) -> Vec<v1::AttemptRef> {
        let mut attempts = self.queue.attempts();
        attempts.extend(self.current.as_ref().map(|current| current.key));
        attempts.extend(self.queued.as_ref().map(|assignment| assignment.key));
        attempts.into_iter().take(MAX_LISTED).map(Into::into).collect()
    }

    fn on_connected(&mut self, actions: &mut Vec<Action>) {
        self.connection = Connection::Greeting;
        self.connections += 1;
        self.has_other_holds = false;
        self.queue.rewind();
        let Abilities { work, numerics, precisions, evaluations } = &self.identity.can;
        let precisions = precisions.iter().flatten().map(|precision: &Precision| precision.name().to_owned());
        let evaluations = evaluations.iter().flatten().map(|kind: &EvaluationKind| kind.name().to_owned());
        actions.push(Action::Greet(Hello {
            worker: self.identity.worker.to_string(),
            name: self.identity.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: self.identity.device.clone(),
            memory_bytes: self.identity.memory_bytes,
            running: self.in_hand(),
            holds: self.holds.iter().map(ToString::to_string).collect(),
            predecessors: self.identity.predecessors.iter().map(ToString::to_string).collect(),
            // Nothing that the process itself has said comes after what is said for it.
            connection: if self.is_of_ended { u64::MAX } else { self.connections },
            protocol: proto::PROTOCOL,
            work: work.iter().map(ToString::to_string).collect(),
            numerics: *numerics,
            precisions: precisions.collect(),
            evaluations: evaluations.collect(),
            ended: self.is_of_ended,
            proves_storage: true,
            secret: self.identity.secret.expose().to_owned(),
            place: Some((&self.identity.place).into()),
            leaving: self.is_leaving,
        }));
    }

    fn on_received(&mut self, received: Received, actions: &mut Vec<Action>) {
        match received {
            Received::Welcome { heartbeat_interval, storage } => {
                self.connection = Connection::Attached;
                // What is to be said can be said, and be acknowledged.
                self.has_given_up = false;
                if !mem::take(&mut self.identity.predecessors).is_empty() {
                    actions.push(Action::ForgetPredecessors(self.identity.worker));
                }
                actions.push(Action::Configure { heartbeat_interval, storage });
            }
            Received::Assigned(assignment) => self.on_assigned(assignment, actions),
            Received::Unusable { key, reason } => self.say_failed(key, reason, false, actions),
            Received::Acknowledged(through) => {
                self.queue.acknowledge(through);
                actions.push(Action::Forget(through));
            }
            Received::Revoked(key) => self.on_revoked(key, actions),
            Received::Recalled(key) => self.on_recalled(key, actions),
            Received::Dismissed => self.on_leave_requested(actions),
            Received::Refused { key, reason } => {
                if !reason.is_empty() {
                    warn!(attempt = %key, reason, "the coordinator ended the attempt");
                }
                self.queue.drop_attempt(key);
                self.on_revoked(key, actions);
            }
        }
    }

    fn on_assigned(&mut self, assignment: Box<Assignment>, actions: &mut Vec<Action>) {
        let key = assignment.key;
        if self.queue.attempts().contains(&key)
            || self.current.as_ref().is_some_and(|current| current.key == key)
            || self.queued.as_ref().is_some_and(|queued| queued.key == key)
        {
            debug!(attempt = %key, "assigned again");
        } else if self.is_leaving {
            self.say(key, Body::AttemptReleased(AttemptReleased { attempt: Some(key.into()) }), actions);
        } else if let Some(current) = &self.current {
            if (current.is_revoked || current.is_recalled) && self.queued.is_none() {
                self.queued = Some(assignment);
            } else {
                let reason = format!("the worker is busy with {}", current.key);
                self.say_failed(key, reason, false, actions);
            }
        } else {
            self.begin(assignment, actions);
        }
    }

    fn begin(&mut self, assignment: Box<Assignment>, actions: &mut Vec<Action>) {
        self.current = Some(Current {
            key: assignment.key,
            end_step: assignment.work.stage().map(|stage| stage.spec.steps.end),
            is_revoked: false,
            is_recalled: false,
            checkpoints_under_way: 0,
            lost: None,
            ended: None,
        });
        actions.push(Action::Prepare(assignment));
    }

    fn on_revoked(&mut self, key: AttemptKey, actions: &mut Vec<Action>) {
        if self.queued.take_if(|queued| queued.key == key).is_some() {
            return self.confirm_revocation(key, actions);
        }
        match self.current.as_mut().filter(|current| current.key == key) {
            Some(current) if current.ended.is_none() => {
                current.is_revoked = true;
                actions.push(Action::Stop(key, Stop::Abandon));
            }
            Some(_) => {
                // Only a checkpoint is still being stored, and it will not be reported.
                self.confirm_revocation(key, actions);
                self.go_on(actions);
            }
            None => self.confirm_revocation(key, actions),
        }
    }

    fn on_recalled(&mut self, key: AttemptKey, actions: &mut Vec<Action>) {
        match self.current.as_mut().filter(|current| current.key == key && !current.is_revoked) {
            Some(current) => {
                current.is_recalled = true;
                // One that has ended only waits for its last checkpoint, and then says how it ended.
                if current.ended.is_none() {
                    actions.push(Action::Stop(key, Stop::Release));
                }
            }
            None => self.on_revoked(key, actions),
        }
    }

    fn on_reported(&mut self, report: Report, actions: &mut Vec<Action>) {
        match report {
            Report::Points { key, points, tokens_per_second } => {
                if self.counts(key) {
                    self.say_points(key, &points, tokens_per_second, actions);
                }
            }
            Report::Checkpoint { key, step, blobs } => {
                if let Some(current) = self.current.as_mut().filter(|current| current.key == key && !current.is_revoked)
                {
                    current.checkpoints_under_way += 1;
                    actions.push(Action::Store { key, step, is_last: Some(step) == current.end_step, blobs });
                }
            }
            Report::Ended { key, ended } => self.on_attempt_ended(key, ended, actions),
        }
    }

    /// Whether reports about an attempt are to be passed on.
    fn counts(&self, key: AttemptKey) -> bool {
        self.current.as_ref().is_some_and(|current| current.key == key && !current.is_revoked)
    }

    fn say_points(
        &mut self,
        key: AttemptKey,
        points: &[StepReport],
        tokens_per_second: f64,
        actions: &mut Vec<Action>,
    ) {
        let points: Vec<_> = points.iter().map(curve_point).collect();
        let latest = points.last().cloned();
        self.latest = Some(Progress { attempt: Some(key.into()), latest, tokens_per_second, ..Progress::default() });
        self.say(key, Body::CurvePoints(CurvePoints { attempt: Some(key.into()), points }), actions);
    }

    fn on_attempt_ended(&mut self, key: AttemptKey, ended: Ended, actions: &mut Vec<Action>) {
        let Some(current) = self.current.as_mut().filter(|current| current.key == key) else {
            debug!(attempt = %key, ?ended, "an attempt other than the current one ended");
            return;
        };
        if current.is_revoked {
            self.confirm_revocation(key, actions);
            return self.go_on(actions);
        }
        current.ended = Some(ended);
        self.report_end(actions);
    }

    fn on_checkpoint_settled(
        &mut self,
        key: AttemptKey,
        outcome: Result<CommitCheckpoint, (u64, Lost)>,
        actions: &mut Vec<Action>,
    ) {
        let Some(current) = self.current.as_mut().filter(|current| current.key == key) else { return };
        current.checkpoints_under_way = current.checkpoints_under_way.saturating_sub(1);
        let is_revoked = current.is_revoked;
        match outcome {
            Ok(commit) => {
                current.lost = None;
                if !is_revoked {
                    self.say(key, Body::CommitCheckpoint(commit), actions);
                }
            }
            Err((step, why)) => {
                warn!(attempt = %key, step, ?why, "a checkpoint was not stored");
                current.lost = Some((step, why));
            }
        }
        self.report_end(actions);
    }

    /// Reports the end of the current attempt, once it has ended and its checkpoints are stored.
    fn report_end(&mut self, actions: &mut Vec<Action>) {
        let is_due = |current: &mut Current| current.ended.is_some() && current.checkpoints_under_way == 0;
        let Some(Current { key, ended: Some(ended), lost, is_recalled, .. }) = self.current.take_if(is_due) else {
            return;
        };
        let attempt = Some(key.into());
        let body = match ended {
            Ended::Completed { step, result } => match lost.filter(|(lost, _)| *lost == step) {
                Some((_, Lost::NotTaken { reason })) => {
                    Body::AttemptFailed(AttemptFailed { attempt, reason, started: true })
                }
                Some((_, Lost::NotStored { reason })) => Body::StorageFailed(StorageFailed { attempt, reason }),
                None => Body::StageCompleted(StageCompleted { attempt, result: Some((&result).into()) }),
            },
            Ended::Diverged { step, loss } => Body::StageDiverged(StageDiverged { attempt, step, loss }),
            Ended::Failed { reason, started } => {
                warn!(attempt = %key, reason, "attempt failed");
                Body::AttemptFailed(AttemptFailed { attempt, reason, started })
            }
            Ended::StartUnusable { checkpoint, reason } => {
                warn!(attempt = %key, of = %checkpoint.stage, step = checkpoint.step, reason, "cannot start from the checkpoint");
                let checkpoint = Some(checkpoint.into());
                Body::StartUnusable(StartUnusable { attempt, checkpoint, reason })
            }
            Ended::StorageFailed { reason } => {
                warn!(attempt = %key, reason, "handed back: the storage failed");
                Body::StorageFailed(StorageFailed { attempt, reason })
            }
            Ended::Stopped | Ended::Released if is_recalled => {
                Body::RevocationConfirmed(RevocationConfirmed { attempt })
            }
            Ended::Stopped | Ended::Released => Body::AttemptReleased(AttemptReleased { attempt }),
        };
        self.say(key, body, actions);
        self.go_on(actions);
    }

    /// Frees the slot, and takes the assignment that was waiting for it.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        self.current = None;
        self.latest = None;
        if let Some(queued) = self.queued.take() {
            self.on_assigned(queued, actions);
        }
    }

    fn on_heartbeat_due(&mut self, quiet: Option<Quiet>, actions: &mut Vec<Action>) {
        if !self.is_attached() {
            return;
        }
        let mut progress = self.latest.clone();
        let training = self.current.as_ref().filter(|current| current.ended.is_none() && !current.is_revoked);
        if let Some((quiet, current)) = quiet.zip(training) {
            let progress =
                progress.get_or_insert_with(|| Progress { attempt: Some(current.key.into()), ..Progress::default() });
            progress.phase = quiet.phase.to_string();
            progress.quiet_ms = u64::try_from(quiet.lasts.as_millis()).unwrap_or(u64::MAX);
        }
        let held = mem::take(&mut self.has_other_holds)
            .then(|| v1::Held { stages: self.holds.iter().map(ToString::to_string).collect() });
        actions.push(Action::Beat(Heartbeat { running: self.in_hand(), progress, held }));
    }

    /// The attempt is handed back as it is, once the checkpoints taken before are stored. One that was revoked is not
    /// confirmed, because it is still on the device; the goodbye says that it is over.
    fn on_stalled(&mut self, actions: &mut Vec<Action>) {
        self.is_leaving = true;
        match self.current.as_mut() {
            Some(current) if current.is_revoked => self.go_on(actions),
            Some(current) if current.ended.is_none() => {
                current.ended = Some(Ended::Released);
                self.report_end(actions);
            }
            _ => {}
        }
    }

    fn on_leave_requested(&mut self, actions: &mut Vec<Action>) {
        if mem::replace(&mut self.is_leaving, true) {
            return;
        }
        if let Some(current) = self.current.as_ref().filter(|current| current.ended.is_none()) {
            actions.push(Action::Stop(current.key, Stop::Release));
        }
    }

    fn depart_when_done(&self, actions: &mut Vec<Action>) {
        if self.is_leaving && self.current.is_none() && (self.queue.is_empty() || self.has_given_up) {
            actions.push(Action::Depart);
        }
    }

    fn confirm_revocation(&mut self, key: AttemptKey, actions: &mut Vec<Action>) {
        self.say(key, Body::RevocationConfirmed(RevocationConfirmed { attempt: Some(key.into()) }), actions);
    }

    fn say_failed(&mut self, key: AttemptKey, reason: String, started: bool, actions: &mut Vec<Action>) {
        warn!(attempt = %key, reason, "attempt failed");
        self.say(key, Body::AttemptFailed(AttemptFailed { attempt: Some(key.into()), reason, started }), actions);
    }

    /// The one place where a report gets its number.
    fn say(&mut self, key: AttemptKey, mut body: Body, actions: &mut Vec<Action>) {
        if let Some(reason) = reason_of(&mut body) {
            *reason = convert::reason(reason);
        }
        actions.push(Action::Spool(self.queue.push(key, body).clone()));
    }
}

/// The text for people in a report, which may be as long as what it is about.
fn reason_of(body: &mut Body) -> Option<&mut String> {
    match body {
        Body::AttemptFailed(AttemptFailed { reason, .. })
        | Body::StartUnusable(StartUnusable { reason, .. })
        | Body::StorageFailed(StorageFailed { reason, .. }) => Some(reason),
        _ => None,
    }
}

fn curve_point(report: &StepReport) -> CurvePoint {
    let StepReport { step, loss, grad_norm, learning_rate, ref measurements, .. } = *report;
    CurvePoint { step, loss, grad_norm, learning_rate, measurements: sent_measurements(measurements) }
}
