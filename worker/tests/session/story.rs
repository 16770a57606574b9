//! The language the stories are told in.
//!
//! Stages are called `a`, `b` and `c`, of four steps each; an attempt is written `a#1`, and what the session wants done
//! is a sentence. `say 2: ...` gives a report its number and copies it to the disk, `send 1, 2` sends what has a number.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use outbox::Queue;
use proto::v1::{AttemptRef, WorkerMessage, worker_message::Body};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measurements, Stage, StageKey, WorkerId};
use worker::checkpoint::CheckpointRef;
use worker::runner::{Ended, Report, Stop};
use worker::session::{Action, Assignment, Event, Identity, Lost, Offer, Received, Session, Unprepared};
use worker::training::StepReport;
use worker::{AttemptKey, Cadence};

use crate::support::{attempt, stage};

/// Steps of a stage.
pub(crate) const STEPS: u64 = 4;

/// A session, and what it wanted done that was not accounted for.
pub(crate) struct Story {
    pub(crate) session: Session,
    /// Everything that was given a number, as it was copied to the disk.
    pub(crate) said: BTreeMap<u64, WorkerMessage>,
    stages: BTreeMap<String, Stage>,
    unaccounted: Vec<String>,
}

impl Story {
    /// A session that was never connected.
    pub(crate) fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    /// One that has no room for more when this many bytes are not acknowledged.
    pub(crate) fn with_limit(bytes: usize) -> Self {
        Self::made(bytes, Vec::new())
    }

    /// One that has the place of processes that have ended.
    pub(crate) fn succeeding(predecessors: Vec<WorkerId>) -> Self {
        Self::made(1 << 20, predecessors)
    }

    fn made(bytes: usize, predecessors: Vec<WorkerId>) -> Self {
        let worker = WorkerId::from_content(b"a worker");
        let (name, device, can) = ("w".to_owned(), "paper".to_owned(), vocabulary::Abilities::default());
        let secret = dial::Secret::new("a secret");
        let place = vocabulary::Place::default();
        let identity = Identity { worker, name, device, memory_bytes: None, can, predecessors, secret, place };
        let session = Session::new(identity, Queue::new(bytes, 1));
        let stages = ["a", "b", "c"].map(|name| (name.to_owned(), stage(name, None, STEPS)));
        Self { session, said: BTreeMap::new(), stages: stages.into(), unaccounted: Vec::new() }
    }

    /// One that is connected and welcome.
    pub(crate) fn attached() -> Self {
        let mut story = Self::new();
        story.attach(&[]);
        story
    }

    /// One that trains `a#1`, of which nothing was said.
    pub(crate) fn training() -> Self {
        let mut story = Self::attached();
        story.assign("a#1");
        story.expect(&["prepare a#1"]);
        story
    }

    /// Accounts for everything that was wanted since the last time, in its order.
    #[track_caller]
    pub(crate) fn expect<S: AsRef<str>>(&mut self, actions: &[S]) {
        let expected: Vec<&str> = actions.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.take(), expected, "what it wanted done, then what was expected");
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.expect::<&str>(&[]);
    }

    /// What [`expect`](Self::expect) would compare, for a story that has to look at it.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unaccounted)
    }

    #[track_caller]
    fn handle(&mut self, event: Event) {
        assert!(self.unaccounted.is_empty(), "not accounted for: {:#?}", self.unaccounted);
        for action in self.session.handle(event) {
            let sentence = self.sentence(&action);
            self.unaccounted.push(sentence);
            if let Action::Spool(message) = action {
                self.said.insert(message.sequence, message);
            }
        }
        let mut sent = Vec::new();
        while let Some(message) = self.session.next_message() {
            assert_eq!(self.said.get(&message.sequence), Some(&message), "what is sent is what was copied");
            sent.push(message.sequence.to_string());
        }
        if !sent.is_empty() {
            self.unaccounted.push(format!("send {}", sent.join(", ")));
        }
    }

    // The connection.

    #[track_caller]
    pub(crate) fn connect(&mut self) {
        self.handle(Event::Connected);
    }

    #[track_caller]
    pub(crate) fn welcome(&mut self) {
        let heartbeat_interval = Duration::from_secs(5);
        self.handle(Event::Received(Received::Welcome { heartbeat_interval, storage: offer() }));
    }

    /// Connects and is welcomed, holding these attempts and with nothing to report.
    #[track_caller]
    pub(crate) fn attach(&mut self, in_hand: &[&str]) {
        self.connect();
        self.expect(&[format!("hello with [{}]", in_hand.join(", "))]);
        self.welcome();
        self.expect(&["configure file:///s"]);
    }

    #[track_caller]
    pub(crate) fn disconnect(&mut self) {
        self.handle(Event::Disconnected);
    }

    // What the coordinator says.

    #[track_caller]
    pub(crate) fn assign(&mut self, text: &str) {
        let assignment = Box::new(Assignment {
            key: self.key(text),
            work: self.stage(text).clone().into(),
            start: None,
            cadence: Cadence::default(),
        });
        self.handle(Event::Received(Received::Assigned(assignment)));
    }

    #[track_caller]
    pub(crate) fn acknowledge(&mut self, through: u64) {
        self.handle(Event::Received(Received::Acknowledged(through)));
    }

    #[track_caller]
    pub(crate) fn revoke(&mut self, text: &str) {
        self.handle(Event::Received(Received::Revoked(self.key(text))));
    }

    #[track_caller]
    pub(crate) fn recall(&mut self, text: &str) {
        self.handle(Event::Received(Received::Recalled(self.key(text))));
    }

    #[track_caller]
    pub(crate) fn refuse(&mut self, text: &str) {
        self.handle(Event::Received(Received::Refused { key: self.key(text), reason: String::new() }));
    }

    // The outcome of training.

    #[track_caller]
    pub(crate) fn points(&mut self, text: &str, steps: Range<u64>) {
        let points = steps.map(|step| StepReport {
            step,
            loss: 3.0,
            grad_norm: 1.0,
            learning_rate: 0.01,
            tokens: 1024,
            measurements: Measurements::new(),
        });
        let points = points.collect();
        self.handle(Event::Reported(Report::Points { key: self.key(text), points, tokens_per_second: 1e5 }));
    }

    #[track_caller]
    pub(crate) fn checkpoint(&mut self, text: &str, step: u64) {
        let blobs = Box::new(|| Ok(Vec::new()));
        self.handle(Event::Reported(Report::Checkpoint { key: self.key(text), step, blobs }));
    }

    #[track_caller]
    pub(crate) fn stored(&mut self, text: &str, step: u64) {
        let key = self.key(text);
        let manifest_path = proto::layout::manifest_path(key, step);
        let manifest_hash = blake3::hash(manifest_path.as_bytes());
        let checkpoint = CheckpointRef { stage: key.stage, step, manifest_path, manifest_hash };
        self.handle(Event::CheckpointStored { key, checkpoint });
    }

    #[track_caller]
    pub(crate) fn lose(&mut self, text: &str, step: u64) {
        self.handle(Event::CheckpointLost {
            key: self.key(text),
            step,
            why: Lost::NotStored { reason: "disk full".to_owned() },
        });
    }

    #[track_caller]
    pub(crate) fn end(&mut self, text: &str, ended: Ended) {
        self.handle(Event::Reported(Report::Ended { key: self.key(text), ended }));
    }

    #[track_caller]
    pub(crate) fn complete(&mut self, text: &str) {
        let result = Measurements::new().with(VALIDATION_LOSS, 3.0).with(VALIDATION_LOSS_PER_BYTE, 1.0);
        self.end(text, Ended::Completed { step: STEPS, result: result.into() });
    }

    #[track_caller]
    pub(crate) fn cannot_take(&mut self, text: &str, step: u64) {
        let why = Lost::NotTaken { reason: "no memory".to_owned() };
        self.handle(Event::CheckpointLost { key: self.key(text), step, why });
    }

    #[track_caller]
    pub(crate) fn cannot_start(&mut self, text: &str, step: u64) {
        let key = self.key(text);
        let checkpoint = CheckpointRef {
            stage: key.stage,
            step,
            manifest_path: "somewhere".to_owned(),
            manifest_hash: blake3::hash(b"a manifest"),
        };
        let why = Unprepared::StartUnusable { checkpoint, reason: "damaged".to_owned() };
        self.handle(Event::NotPrepared { key, why });
    }

    #[track_caller]
    pub(crate) fn cannot_read(&mut self, text: &str) {
        let why = Unprepared::StorageFailed { reason: "no answer".to_owned() };
        self.handle(Event::NotPrepared { key: self.key(text), why });
    }

    #[track_caller]
    pub(crate) fn not_prepared(&mut self, text: &str) {
        self.handle(Event::NotPrepared {
            key: self.key(text),
            why: Unprepared::Failed { reason: "no data".to_owned() },
        });
    }

    #[track_caller]
    pub(crate) fn preparation_stopped(&mut self, text: &str) {
        self.handle(Event::PreparationStopped { key: self.key(text) });
    }

    // What happens by itself.

    #[track_caller]
    pub(crate) fn heartbeat(&mut self) {
        self.handle(Event::HeartbeatDue { quiet: None });
    }

    #[track_caller]
    pub(crate) fn leave(&mut self) {
        self.handle(Event::LeaveRequested);
    }

    #[track_caller]
    pub(crate) fn dismiss(&mut self) {
        self.handle(Event::Received(Received::Dismissed));
    }

    #[track_caller]
    pub(crate) fn give_up(&mut self) {
        self.handle(Event::GivenUp);
    }

    #[track_caller]
    pub(crate) fn stall(&mut self) {
        self.handle(Event::Stalled);
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, received: Received) {
        self.handle(Event::Received(received));
    }

    // From names to keys and back.

    pub(crate) fn stage(&self, text: &str) -> &Stage {
        &self.stages[text.split('#').next().expect("there is a first part")]
    }

    #[track_caller]
    pub(crate) fn key(&self, text: &str) -> AttemptKey {
        let (_, number) = text.split_once('#').expect("an attempt is written stage#number");
        attempt(self.stage(text), number.parse().expect("a number"))
    }

    fn name(&self, key: AttemptKey) -> String {
        let known = self.stages.iter().find(|(_, stage)| stage.key == key.stage);
        format!("{}{}", known.expect("a stage of this story").0, key.attempt)
    }

    /// By name, since their own order is that of hashes.
    fn names(&self, attempts: &[AttemptRef]) -> String {
        let mut names: Vec<_> = attempts.iter().map(|attempt| self.named(Some(attempt))).collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn named(&self, attempt: Option<&AttemptRef>) -> String {
        self.name(AttemptKey::try_from(attempt.expect("it names an attempt")).expect("it is sound"))
    }

    fn sentence(&self, action: &Action) -> String {
        match action {
            Action::Greet(hello) if !hello.predecessors.is_empty() => {
                format!("hello in the place of {} with [{}]", hello.predecessors.len(), self.names(&hello.running))
            }
            Action::Greet(hello) if hello.leaving => format!("last hello with [{}]", self.names(&hello.running)),
            Action::Greet(hello) if hello.holds.is_empty() => format!("hello with [{}]", self.names(&hello.running)),
            Action::Greet(hello) => {
                let stage = |text: &String| text.parse::<StageKey>().expect("a stage").short();
                let holds: Vec<_> = hello.holds.iter().map(stage).collect();
                format!("hello with [{}], holding [{}]", self.names(&hello.running), holds.join(", "))
            }
            Action::Beat(heartbeat) => {
                let latest = heartbeat.progress.as_ref().and_then(|progress| progress.latest.as_ref());
                let latest = latest.map_or_else(String::new, |point| format!(", at step {}", point.step));
                format!("heartbeat with [{}]{latest}", self.names(&heartbeat.running))
            }
            Action::Spool(message) => format!("say {}: {}", message.sequence, self.report(message)),
            Action::ForgetPredecessors(_) => "forget predecessors".to_owned(),
            Action::Forget(through) => format!("forget {through}"),
            Action::Prepare(assignment) => format!("prepare {}", self.name(assignment.key)),
            Action::Stop(key, Stop::Abandon) => format!("abandon {}", self.name(*key)),
            Action::Stop(key, Stop::Release) => format!("release {}", self.name(*key)),
            Action::Store { key, step, is_last, .. } => {
                format!("store {} at {step}{}", self.name(*key), if *is_last { ", its last" } else { "" })
            }
            Action::Configure { storage, .. } => format!("configure {}", storage.address),
            Action::Depart => "depart".to_owned(),
        }
    }

    fn report(&self, message: &WorkerMessage) -> String {
        match message.body.as_ref().expect("it says something") {
            Body::CurvePoints(points) => {
                let steps: Vec<_> = points.points.iter().map(|point| point.step).collect();
                format!("points {steps:?} of {}", self.named(points.attempt.as_ref()))
            }
            Body::CommitCheckpoint(commit) => {
                format!("checkpoint of {} at {}", self.named(commit.attempt.as_ref()), commit.step)
            }
            Body::StageCompleted(completed) => format!("{} completed", self.named(completed.attempt.as_ref())),
            Body::StageDiverged(diverged) => {
                let (step, loss) = (diverged.step, diverged.loss);
                format!("{} diverged at {step} with {loss}", self.named(diverged.attempt.as_ref()))
            }
            Body::AttemptFailed(failed) => {
                let when = if failed.started { "failed" } else { "did not start" };
                format!("{} {when}: {}", self.named(failed.attempt.as_ref()), failed.reason)
            }
            Body::StartUnusable(unusable) => {
                let step = unusable.checkpoint.as_ref().map(|checkpoint| checkpoint.step).expect("it names one");
                format!("{} cannot start from step {step}: {}", self.named(unusable.attempt.as_ref()), unusable.reason)
            }
            Body::StorageFailed(failed) => {
                format!("{} handed back, storage failed: {}", self.named(failed.attempt.as_ref()), failed.reason)
            }
            Body::AttemptReleased(released) => format!("{} released", self.named(released.attempt.as_ref())),
            Body::RevocationConfirmed(confirmed) => format!("{} stopped", self.named(confirmed.attempt.as_ref())),
            other => panic!("not a report: {other:?}"),
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.unaccounted.is_empty(), "not accounted for at the end: {:#?}", self.unaccounted);
        }
    }
}

/// The storage that the coordinator of these tests names. It asks for no proof.
pub(crate) fn offer() -> Offer {
    Offer { address: "file:///s".to_owned(), id: None }
}
