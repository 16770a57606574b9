//! A coordinator, a storage, and workers over them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vocabulary::sample;
use worker::{Leave, WorkerError, WorkerExit, WorkerOptions};

use crate::coordinator::Coordinator;
use crate::trainer::{PaperTrainer, Reins};

/// How long anything may take before the test is taken to hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) coordinator: Coordinator,
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let storage = dir.path().join("storage");
        let dataset = storage.join(proto::layout::dataset_path(&sample::dataset().id));
        fs::create_dir_all(&dataset).expect("it is made");
        fs::write(dataset.join(proto::layout::MANIFEST), "{}").expect("it is written");
        let address = url::Url::from_directory_path(&storage).expect("it is absolute");
        Self { coordinator: Coordinator::start(address.into()), dir }
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }

    /// A worker that takes no checkpoint before the end of a stage, and does not give up.
    pub(crate) fn options(&self) -> WorkerOptions {
        WorkerOptions {
            name: Some("w".to_owned()),
            checkpoint_interval: Some(Duration::from_secs(3600)),
            ..WorkerOptions::new(self.coordinator.url(), self.dir.path().join("worker"))
        }
    }

    /// A usual worker, and what holds its trainer.
    pub(crate) fn worker(&self) -> (Worker, Reins) {
        let (trainer, reins) = PaperTrainer::new();
        (Worker::start(self.options(), trainer), reins)
    }
}

/// A worker that runs.
pub(crate) struct Worker {
    running: JoinHandle<Result<WorkerExit, WorkerError>>,
    leave: mpsc::Sender<Leave>,
}

impl Worker {
    pub(crate) fn start(options: WorkerOptions, trainer: PaperTrainer) -> Self {
        let (leave, requests) = mpsc::channel(1);
        let running = tokio::spawn(worker::serve(options, "paper".to_owned(), trainer, requests));
        Self { running, leave }
    }

    /// Tells it to go. It knows when this returns.
    pub(crate) async fn leave(&self, why: Leave) {
        self.leave.send(why).await.expect("it runs");
        // There is room for one, so there is room again when it has been taken; and whoever takes it acts before it waits
        // for anything else, on the one thread of these tests.
        drop(timeout(PATIENCE, self.leave.reserve()).await.expect("it is taken"));
    }

    pub(crate) async fn end(self) -> Result<WorkerExit, WorkerError> {
        timeout(PATIENCE, self.running).await.expect("it ends").expect("it does not panic")
    }

    /// Ends it as a signal would that asks nobody.
    pub(crate) async fn kill(self) {
        self.running.abort();
        let end = timeout(PATIENCE, self.running).await.expect("it ends");
        assert!(end.is_err_and(|error| error.is_cancelled()), "it was alive");
    }
}
