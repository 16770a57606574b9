//! Jobs that run beside the session: fetching what an attempt needs, and storing its checkpoints.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use proto::layout::checkpoint_path;
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{debug, warn};
use vocabulary::AttemptKey;
use vocabulary::text::one_line;

use crate::cadence::Cadence;
use crate::checkpoint::{
    Blobs, CheckpointRef, DownloadError, Taken, UploadError, download_through, off_thread, upload_missing,
};
use crate::dataset::{DatasetError, LocalDataset, local_dataset};
use crate::node_cache::{InUse, NodeCache};
use crate::runner::panic_text;
use crate::session::link::JitteredBackoff;
use crate::session::{Assignment, Lost, Unprepared};
use crate::training::{Blob, PendingBlobs, StartPoint, Task, TrainingError};
use storage::{ProofError, Storage, StorageError};

/// A transfer with a folder that takes longer is considered hung, as on a file system whose server is gone. One with a bucket
/// ends by itself when it stands still, and may take as long as its line needs.
const LONGEST_TRY: Duration = Duration::from_secs(60 * 60);

/// How often a transfer is tried, and the waits in between. Object stores retry by themselves before that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) tries: u32,
    pub(crate) first_wait: Duration,
    pub(crate) longest_wait: Duration,
}

impl RetryPolicy {
    /// For most transfers.
    pub(crate) const USUAL: Self =
        Self { tries: 4, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(5) };
    /// For the last checkpoint of a stage, about 40 s: everything trained since the checkpoint before depends on it, and the
    /// device is idle meanwhile.
    pub(crate) const LAST: Self = Self { tries: 12, ..Self::USUAL };

    /// Runs an operation until it succeeds, fails for good, or has used up its tries.
    async fn with<T, E: Error + 'static, Once: Future<Output = Result<T, E>>>(
        self,
        is_retryable: fn(&E) -> bool,
        mut once: impl FnMut() -> Once,
    ) -> Result<T, E> {
        let mut backoff = JitteredBackoff::new(self.first_wait, self.longest_wait);
        for _ in 1..self.tries {
            match once().await {
                Err(error) if is_retryable(&error) => {
                    warn!(error = one_line(&error), "trying again");
                    tokio::time::sleep(backoff.next(rand::random())).await;
                }
                result => return result,
            }
        }
        once().await
    }
}

/// A finished job.
pub(crate) enum Done {
    Proved {
        result: Result<(), ProofError>,
    },
    Prepared {
        key: AttemptKey,
        result: Result<Box<Prepared>, PrepareError>,
    },
    Stored {
        key: AttemptKey,
        step: u64,
        is_last: bool,
        took: Duration,
        result: Result<(CheckpointRef, Blobs), StoreError>,
    },
    Opened {
        address: String,
        result: Result<Storage, StorageError>,
    },
}

/// Everything an attempt needs.
pub(crate) struct Prepared {
    pub(crate) task: Task,
    pub(crate) cadence: Cadence,
    /// The checkpoint it starts from, if it was downloaded.
    pub(crate) downloaded: Option<CheckpointRef>,
    /// Keeps the data on this machine.
    pub(crate) in_use: Option<InUse>,
}

/// Why an attempt cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("cannot use the data")]
    Dataset(#[from] DatasetError),
    #[error("an evaluation was assigned without a checkpoint to evaluate")]
    NothingToEvaluate,
    #[error("cannot use the checkpoint to start from")]
    Checkpoint {
        checkpoint: CheckpointRef,
        #[source]
        source: DownloadError,
    },
}

impl From<PrepareError> for Unprepared {
    fn from(error: PrepareError) -> Self {
        let reason = one_line(&error);
        match error {
            PrepareError::Checkpoint { checkpoint, source } if !source.is_retryable() => {
                Self::StartUnusable { checkpoint, reason }
            }
            // A file system that is not mounted has lost nothing, and no dataset or checkpoint is the stage's fault.
            PrepareError::Checkpoint { .. } | PrepareError::Dataset(_) => Self::StorageFailed { reason },
            PrepareError::NothingToEvaluate => Self::Failed { reason },
        }
    }
}

/// Why a checkpoint was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot take the checkpoint")]
    Take(#[source] TrainingError),
    #[error("cannot store the checkpoint")]
    Upload(#[from] UploadError),
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        let reason = one_line(&error);
        match error {
            StoreError::Take(_) => Self::NotTaken { reason },
            StoreError::Upload(_) => Self::NotStored { reason },
        }
    }
}

/// Fetches what an assignment needs. `cached` is the checkpoint it starts from, if that is in memory.
pub(crate) async fn prepare(
    storage: Storage,
    node_cache: NodeCache,
    assignment: Assignment,
    cached: Option<Blobs>,
) -> Result<Box<Prepared>, PrepareError> {
    let Assignment { work, start, cadence, .. } = assignment;
    let LocalDataset { dir, in_use } = local_dataset(&storage, &work.dataset(), &node_cache).await?;
    let Some(start) = start else {
        let task = Task::of(work, dir, None).ok_or(PrepareError::NothingToEvaluate)?;
        return Ok(Box::new(Prepared { task, cadence, downloaded: None, in_use }));
    };
    let is_cached = cached.is_some();
    let blobs = match cached {
        Some(blobs) => blobs,
        None => fetch(&storage, &start, &node_cache, RetryPolicy::USUAL)
            .await
            .map_err(|source| PrepareError::Checkpoint { checkpoint: start.clone(), source })?,
    };
    debug!(stage = %start.stage, step = start.step, is_cached, "checkpoint ready");
    let point = StartPoint { stage: start.stage, step: start.step, blobs };
    let task = Task::of(work, dir, Some(point)).ok_or(PrepareError::NothingToEvaluate)?;
    Ok(Box::new(Prepared { task, cadence, downloaded: (!is_cached).then_some(start), in_use }))
}

/// Encodes a snapshot. A panic fails the attempt, not the worker.
fn taken(blobs: PendingBlobs) -> Result<Vec<Blob>, TrainingError> {
    catch_unwind(AssertUnwindSafe(blobs))
        .unwrap_or_else(|panic| Err(format!("taking the checkpoint panicked: {}", panic_text(&*panic)).into()))
}

/// Reads a checkpoint: from the machine's cache, where other workers of this machine may start from it, too, or from the
/// storage.
pub(crate) async fn fetch(
    storage: &Storage,
    start: &CheckpointRef,
    node_cache: &NodeCache,
    policy: RetryPolicy,
) -> Result<Blobs, DownloadError> {
    let once = || async {
        let slow = |_| DownloadError::TooSlow { path: start.manifest_path.clone() };
        bounded(storage, download_through(storage, start, node_cache)).await.map_err(slow)?
    };
    policy.with(DownloadError::is_retryable, once).await
}

async fn bounded<T>(storage: &Storage, transfer: impl Future<Output = T>) -> Result<T, Elapsed> {
    if storage.is_bucket() { Ok(transfer.await) } else { timeout(LONGEST_TRY, transfer).await }
}

/// Encodes a checkpoint and stores it, after the checkpoints taken before it.
pub(crate) async fn store(
    storage: Storage,
    turn: Arc<Mutex<()>>,
    key: AttemptKey,
    step: u64,
    policy: RetryPolicy,
    blobs: PendingBlobs,
) -> Result<(CheckpointRef, Blobs), StoreError> {
    // The mutex is fair, so checkpoints arrive in the order they were taken.
    let _turn = turn.lock().await;
    let blobs = Blobs::new(off_thread(|| taken(blobs)).await.map_err(StoreError::Take)?);
    let taken = Taken::default();
    let once = || async {
        let slow = |_| UploadError::TooSlow { path: checkpoint_path(key, step) };
        let uploading = upload_missing(storage.store().as_ref(), key, step, &blobs, &taken);
        bounded(&storage, uploading).await.map_err(slow)?
    };
    let checkpoint = policy.with(|_| true, once).await?;
    Ok((checkpoint, blobs))
}
