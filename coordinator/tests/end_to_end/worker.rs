//! A worker that trains nothing: it says what one would say, and writes what one would write.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use coordinator::Handle;
use proto::layout;
use proto::manifest::{BlobEntry, CheckpointManifest};
use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use proto::v1::worker_service_client::WorkerServiceClient;
use proto::v1::{self, AttemptRef, CoordinatorMessage, WorkerMessage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Attempt, AttemptKey, Evaluation, Measurements, Stage, WorkerId};

use crate::bench::PATIENCE;

/// Each connection of any of these workers has a higher number than those before.
static CONNECTIONS: AtomicU64 = AtomicU64::new(2);

/// The loss that these workers report at a step: any pure function of it.
pub(crate) fn loss_at(step: u64) -> f64 {
    6.0 / (1.0 + step as f64 / 7.0)
}

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) sequence: u64,
    up: mpsc::Sender<WorkerMessage>,
    down: Streaming<CoordinatorMessage>,
    pub(crate) storage: PathBuf,
    /// What the welcome said that the storage's marker says.
    pub(crate) storage_id: String,
    /// The latest sequence number that was acknowledged.
    pub(crate) acknowledged: u64,
}

/// An assignment, read.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) attempt: AttemptRef,
    pub(crate) stage: Stage,
    pub(crate) start: Option<v1::CheckpointRef>,
}

/// An assignment of an evaluation, read.
#[derive(Debug, Clone)]
pub(crate) struct EvaluationJob {
    pub(crate) attempt: AttemptRef,
    pub(crate) evaluation: Evaluation,
    pub(crate) start: v1::CheckpointRef,
}

impl Job {
    /// The step to begin with.
    pub(crate) fn first_step(&self) -> u64 {
        self.start.as_ref().map_or(0, |start| start.step)
    }

    pub(crate) fn end_step(&self) -> u64 {
        self.stage.spec.steps.end
    }
}

impl Worker {
    /// A worker process that has just started.
    pub(crate) async fn join(handle: &Handle, name: &str) -> Self {
        Self::attach(handle, WorkerId::from_content(name.as_bytes()), 0, Vec::new()).await
    }

    /// One that can evaluate, too.
    pub(crate) async fn join_to_evaluate(handle: &Handle, name: &str) -> Self {
        let work = ["train", "evaluate"].map(str::to_owned).to_vec();
        let hello = v1::Hello { work, ..Default::default() };
        Self::greet(handle, WorkerId::from_content(name.as_bytes()), 0, hello).await
    }

    /// One that shows that it can use the storage, and has not done so yet.
    pub(crate) async fn join_to_prove(handle: &Handle, name: &str) -> Self {
        let hello = v1::Hello { proves_storage: true, ..Default::default() };
        Self::greet(handle, WorkerId::from_content(name.as_bytes()), 0, hello).await
    }

    /// The same process on a new connection, with the attempts it holds.
    pub(crate) async fn rejoin(self, handle: &Handle, running: Vec<AttemptRef>) -> Self {
        Self::attach(handle, self.id, self.sequence, running).await
    }

    /// The successor of this process, which has ended, saying what it could not.
    pub(crate) async fn spoken_for(self, handle: &Handle, running: Vec<AttemptRef>) -> Self {
        let hello = v1::Hello { running, ended: true, ..Default::default() };
        Self::greet(handle, self.id, self.sequence, hello).await
    }

    /// A process that took the place of another, which has ended.
    pub(crate) async fn join_in_place_of(handle: &Handle, name: &str, predecessor: WorkerId) -> Self {
        Self::attach_as(handle, WorkerId::from_content(name.as_bytes()), 0, Vec::new(), Some(predecessor)).await
    }

    /// A hello of an earlier connection of this process that the network kept back: whether the coordinator turns it away.
    pub(crate) async fn is_turned_away(&self, handle: &Handle, connection: u64) -> bool {
        let worker = self.id.to_string();
        let (name, protocol) = ("a worker".to_owned(), proto::PROTOCOL);
        let hello = v1::Hello { worker, name, connection, protocol, ..Default::default() };
        let (up, outgoing) = mpsc::channel(1);
        up.send(WorkerMessage { sequence: 0, body: Some(Up::Hello(hello)) }).await.expect("there is room");
        let mut client = WorkerServiceClient::connect(handle.public_url().to_owned()).await.expect("it listens");
        let mut down = client.session(ReceiverStream::new(outgoing)).await.expect("the hello is sound").into_inner();
        let answer = tokio::time::timeout(PATIENCE, down.message()).await.expect("something comes");
        !matches!(answer, Ok(Some(_)))
    }

    async fn attach(handle: &Handle, id: WorkerId, sequence: u64, running: Vec<AttemptRef>) -> Self {
        Self::attach_as(handle, id, sequence, running, None).await
    }

    async fn attach_as(
        handle: &Handle,
        id: WorkerId,
        sequence: u64,
        running: Vec<AttemptRef>,
        predecessor: Option<WorkerId>,
    ) -> Self {
        let predecessors = predecessor.as_ref().map(ToString::to_string).into_iter().collect();
        Self::greet(handle, id, sequence, v1::Hello { running, predecessors, ..Default::default() }).await
    }

    pub(crate) async fn greet(handle: &Handle, id: WorkerId, sequence: u64, hello: v1::Hello) -> Self {
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let (up, outgoing) = mpsc::channel(64);
        let hello = v1::Hello {
            worker: id.to_string(),
            name: "a worker".to_owned(),
            version: "0".to_owned(),
            device: "paper".to_owned(),
            connection,
            protocol: proto::PROTOCOL,
            ..hello
        };
        up.send(WorkerMessage { sequence: 0, body: Some(Up::Hello(hello)) }).await.expect("there is room");
        let mut client = WorkerServiceClient::connect(handle.public_url().to_owned()).await.expect("it listens");
        let down = client.session(ReceiverStream::new(outgoing)).await.expect("the hello is sound").into_inner();
        let mut worker =
            Self { id, sequence, up, down, storage: PathBuf::new(), storage_id: String::new(), acknowledged: 0 };
        let Down::Welcome(welcome) = worker.next().await else { panic!("the first message is a welcome") };
        assert!(welcome.heartbeat_interval_ms > 0 && welcome.lease_duration_ms > welcome.heartbeat_interval_ms);
        let path = welcome.storage.strip_prefix("file://").expect("the storage is a directory");
        worker.storage = PathBuf::from(path);
        worker.storage_id = welcome.storage_id;
        worker
    }

    /// What the coordinator says next.
    pub(crate) async fn next(&mut self) -> Down {
        let message = tokio::time::timeout(PATIENCE, self.down.message()).await.expect("something comes");
        message.expect("the session is sound").expect("the session continues").body.expect("it says something")
    }

    /// What ends the session.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match tokio::time::timeout(PATIENCE, self.down.message()).await.expect("something comes") {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    }

    /// The next message that is not an acknowledgement.
    pub(crate) async fn next_order(&mut self) -> Down {
        loop {
            match self.next().await {
                Down::Acknowledgement(acknowledgement) => {
                    assert!(acknowledgement.sequence >= self.acknowledged, "acknowledgements do not go back");
                    self.acknowledged = acknowledgement.sequence;
                }
                order => return order,
            }
        }
    }

    /// The next assignment; nothing else may come before it.
    pub(crate) async fn next_job(&mut self) -> Job {
        match self.next_order().await {
            Down::Assignment(v1::Assignment { attempt, stage, start, .. }) => Job {
                attempt: attempt.expect("it has an attempt"),
                stage: stage.expect("it has a stage").try_into().expect("the stage is sound"),
                start,
            },
            other => panic!("expected an assignment, and got {other:?}"),
        }
    }

    /// The next assignment, which is that of an evaluation.
    pub(crate) async fn next_evaluation(&mut self) -> EvaluationJob {
        match self.next_order().await {
            Down::Assignment(v1::Assignment { attempt, stage: None, evaluation, start, .. }) => EvaluationJob {
                attempt: attempt.expect("it has an attempt"),
                evaluation: evaluation.expect("it has an evaluation").try_into().expect("the evaluation is sound"),
                start: start.expect("an evaluation has a start"),
            },
            other => panic!("expected an evaluation, and got {other:?}"),
        }
    }

    /// Waits until everything that was said is acknowledged; no order may come meanwhile.
    pub(crate) async fn settle(&mut self) {
        while self.acknowledged < self.sequence {
            match self.next().await {
                Down::Acknowledgement(acknowledgement) => self.acknowledged = acknowledgement.sequence,
                other => panic!("expected an acknowledgement, and got {other:?}"),
            }
        }
    }

    /// Says something that is to be acknowledged.
    pub(crate) async fn report(&mut self, body: Up) {
        self.sequence += 1;
        self.say(self.sequence, body).await;
    }

    /// Says something under a given number.
    pub(crate) async fn say(&self, sequence: u64, body: Up) {
        self.up.send(WorkerMessage { sequence, body: Some(body) }).await.expect("the session continues");
    }

    pub(crate) async fn report_points(&mut self, job: &Job, steps: std::ops::Range<u64>) {
        self.report(points(job, steps)).await;
    }

    /// Writes a checkpoint; says nothing of it.
    pub(crate) fn write_checkpoint(&self, job: &Job, step: u64) -> v1::CommitCheckpoint {
        let key = AttemptKey { stage: job.stage.key, attempt: Attempt(job.attempt.attempt) };
        let folder = self.storage.join(layout::checkpoint_path(key, step));
        fs::create_dir_all(&folder).expect("it is made");
        let blob = |name: &str| {
            let content = format!("{name} of {} at {step}", key.stage);
            fs::write(folder.join(name), &content).expect("it is written");
            let blake3 = blake3::hash(content.as_bytes()).to_hex().to_string();
            BlobEntry { name: name.to_owned(), bytes: content.len() as u64, blake3 }
        };
        let blobs = vec![blob("weights.safetensors"), blob("optimizer.safetensors")];
        let manifest = CheckpointManifest::new(key, step, blobs).to_json();
        fs::write(folder.join(layout::MANIFEST), &manifest).expect("it is written");
        v1::CommitCheckpoint {
            attempt: Some(job.attempt.clone()),
            step,
            manifest_path: layout::manifest_path(key, step),
            manifest_hash: blake3::hash(&manifest).to_hex().to_string(),
        }
    }

    pub(crate) async fn report_checkpoint(&mut self, job: &Job, step: u64) {
        let commit = self.write_checkpoint(job, step);
        self.report(Up::CommitCheckpoint(commit)).await;
    }

    pub(crate) async fn report_completed(&mut self, job: &Job) {
        self.report_result(job.attempt.clone(), loss_at(job.end_step())).await;
    }

    pub(crate) async fn report_result(&mut self, attempt: AttemptRef, loss: f64) {
        let result = Measurements::new().with(VALIDATION_LOSS, loss).with(VALIDATION_LOSS_PER_BYTE, loss / 3.0);
        let completed = v1::StageCompleted { attempt: Some(attempt), result: Some((&result).into()) };
        self.report(Up::StageCompleted(completed)).await;
    }

    /// Does a job from a step on to its end.
    pub(crate) async fn finish(&mut self, job: &Job, from: u64) {
        let middle = from.midpoint(job.end_step());
        self.report_points(job, from..middle).await;
        self.report_points(job, middle..job.end_step()).await;
        self.report_checkpoint(job, job.end_step()).await;
        self.report_completed(job).await;
    }

    /// Does so many jobs.
    pub(crate) async fn work(&mut self, jobs: usize) {
        for _ in 0..jobs {
            let job = self.next_job().await;
            self.finish(&job, job.first_step()).await;
        }
    }
}

pub(crate) fn points(job: &Job, steps: std::ops::Range<u64>) -> Up {
    let point = |step| v1::CurvePoint {
        step,
        loss: loss_at(step),
        grad_norm: 1.0,
        learning_rate: job.stage.spec.learning_rate(step),
        measurements: Vec::new(),
    };
    Up::CurvePoints(v1::CurvePoints { attempt: Some(job.attempt.clone()), points: steps.map(point).collect() })
}
