//! What a worker is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use dial::Credentials;
use vocabulary::{Place, WorkerId};

use crate::pulse::StallLimits;

/// Bytes of downloads that a machine keeps by default: several large datasets, on disks that are mostly of terabytes.
pub const DEFAULT_NODE_CACHE_BYTES: u64 = 100 << 30;

/// Options of a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The coordinator's address, for example `http://127.0.0.1:7450`; several, separated by commas, where others stand by.
    pub coordinator_url: String,
    /// What the worker presents to the coordinator.
    pub credentials: Credentials,
    /// Identity of this process; `None` draws a new one. Every process needs its own.
    pub worker_id: Option<WorkerId>,
    /// Display name, unique among workers that share a data directory; `None` derives it from the machine's name.
    pub name: Option<String>,
    /// Where it runs, and until when; told to the coordinator.
    pub place: Place,
    /// Device to train on: `auto`, `flex`, `wgpu` or `cuda:INDEX`.
    pub device: String,
    /// CPU threads for training.
    pub threads: usize,
    /// Memory of the device in bytes, if known.
    pub memory_bytes: Option<u64>,
    /// Directory of the outbox and of downloads.
    pub data_dir: PathBuf,
    /// Where this machine sees the storage, where that is not at the address that the coordinator names.
    pub storage_url: Option<String>,
    /// Exit at the end of the standard input, so that workers do not outlive their parent.
    pub exit_with_stdin: bool,
    /// Training time between two checkpoints of a stage, instead of the interval that follows from their cost and from
    /// how often workers are lost. Every stage ends with a checkpoint in any case.
    pub checkpoint_interval: Option<Duration>,
    /// Time to finish the step, write a checkpoint and hand the stage back after a signal, or at the end of the standard input.
    pub grace: Duration,
    /// The worker exits after this time with the coordinator without being given anything; `None` if it never does.
    pub idle_timeout: Option<Duration>,
    /// The worker exits after this time without an answer from the coordinator; `None` if it never does.
    pub give_up_after: Option<Duration>,
    /// How long the training thread may be busy with one thing before it is taken to hang, and the worker ends.
    pub stall_limits: StallLimits,
    /// Training hangs while this file is there. For tests of what becomes of it.
    pub hang_while: Option<PathBuf>,
    /// Bytes of unacknowledged messages at which training waits for the coordinator.
    pub outbox_bytes: usize,
    /// Bytes of checkpoints kept in memory for stages that continue from them.
    pub memory_cache_bytes: u64,
    /// Bytes of downloads kept on the disk, for all workers that share the data directory.
    pub node_cache_bytes: u64,
}

impl WorkerOptions {
    /// A coordinator's usual worker: any device, one thread, defaults otherwise.
    #[must_use]
    pub fn new(coordinator_url: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            coordinator_url: coordinator_url.into(),
            credentials: Credentials::default(),
            worker_id: None,
            name: None,
            place: Place::default(),
            device: "auto".to_owned(),
            threads: 1,
            memory_bytes: None,
            data_dir: data_dir.into(),
            storage_url: None,
            exit_with_stdin: false,
            checkpoint_interval: None,
            grace: Duration::from_secs(25),
            idle_timeout: None,
            give_up_after: None,
            stall_limits: StallLimits::default(),
            hang_while: None,
            outbox_bytes: 64 << 20,
            memory_cache_bytes: 256 << 20,
            node_cache_bytes: DEFAULT_NODE_CACHE_BYTES,
        }
    }
}
