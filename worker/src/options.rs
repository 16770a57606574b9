//! What a worker is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use dial::Credentials;
use vocabulary::WorkerId;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Where the coordinator listens, for example `http://127.0.0.1:7450`.
    pub coordinator_url: String,
    /// What shows the coordinator who this is.
    pub credentials: Credentials,
    /// The identity of this process; a fresh one where none is given. Each start of a process has its own.
    pub worker_id: Option<WorkerId>,
    /// The name people see, unique among the workers that share a data directory; after the machine where none is given.
    pub name: Option<String>,
    /// What to train on: `auto`, `flex`, `wgpu` or `cuda:INDEX`.
    pub device: String,
    /// CPU threads for training.
    pub threads: usize,
    /// Bytes of the device's memory, where somebody knows.
    pub memory_bytes: Option<u64>,
    /// Where the worker keeps what it has not got rid of: its outbox, and downloaded datasets.
    pub data_dir: PathBuf,
    /// Whether to end when the standard input does, which is how a parent takes its workers with it.
    pub exit_with_stdin: bool,
    /// Time of training between two checkpoints of a stage, in place of what follows from their cost and from how often
    /// workers are lost. There is one at its end in any case.
    pub checkpoint_interval: Option<Duration>,
    /// How long it may take to finish the step, write a checkpoint and hand the stage back after a signal.
    pub grace: Duration,
    /// Without a word from the coordinator for this long, the worker ends.
    pub give_up_after: Duration,
    /// Bytes of unacknowledged messages at which training waits for the coordinator.
    pub outbox_bytes: usize,
    /// Bytes of checkpoints kept in memory for the stages that go on from them.
    pub cache_bytes: u64,
}

impl WorkerOptions {
    /// The usual worker of a coordinator: whatever device there is, one thread, everything else by default.
    #[must_use]
    pub fn new(coordinator_url: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            coordinator_url: coordinator_url.into(),
            credentials: Credentials::default(),
            worker_id: None,
            name: None,
            device: "auto".to_owned(),
            threads: 1,
            memory_bytes: None,
            data_dir: data_dir.into(),
            exit_with_stdin: false,
            checkpoint_interval: None,
            grace: Duration::from_secs(25),
            give_up_after: Duration::from_secs(10 * 60),
            outbox_bytes: 64 << 20,
            cache_bytes: 256 << 20,
        }
    }
}
