//! What the shell has done beside everything else: fetching what an attempt needs, storing its checkpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::checkpoint::{Blobs, CheckpointRef, DownloadError, UploadError, download, off_thread, upload};
use crate::dataset::{DatasetError, dataset_dir};
use crate::session::Assignment;
use crate::session::link::Backoff;
use crate::storage::Storage;
use crate::training::{Order, PendingBlobs, StartPoint, TrainingError, chain};
use recipes::AttemptKey;

/// How often a transfer is tried. Object stores retry by themselves before that.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A job that is over.
pub(crate) enum Done {
    Prepared { key: AttemptKey, result: Result<Box<Prepared>, PrepareError> },
    Stored { key: AttemptKey, step: u64, is_last: bool, result: Result<(CheckpointRef, Blobs), StoreError> },
}

/// Everything an attempt needs.
pub(crate) struct Prepared {
    pub(crate) order: Order,
    /// The checkpoint it starts from, where it was downloaded.
    pub(crate) downloaded: Option<CheckpointRef>,
}

/// Why an attempt cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("the data is not at hand")]
    Dataset(#[from] DatasetError),
    #[error("the checkpoint to start from is not at hand")]
    Checkpoint(#[from] DownloadError),
}

/// Why a checkpoint is not in the storage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the checkpoint could not be taken")]
    Take(#[source] TrainingError),
    #[error("the checkpoint could not be stored")]
    Upload(#[from] UploadError),
}

/// Fetches what an assignment needs. `cached` is the checkpoint it starts from, where that is in memory.
pub(crate) async fn prepare(
    storage: Storage,
    datasets: PathBuf,
    assignment: Assignment,
    cached: Option<Blobs>,
) -> Result<Box<Prepared>, PrepareError> {
    let Assignment { stage, start, .. } = assignment;
    let dataset_dir = dataset_dir(&storage, &stage.spec.data, &datasets).await?;
    let Some(start) = start else {
        return Ok(Box::new(Prepared { order: Order { stage, dataset_dir, start: None }, downloaded: None }));
    };
    let is_cached = cached.is_some();
    let blobs = match cached {
        Some(blobs) => blobs,
        None => fetch(&storage, &start).await?,
    };
    debug!(stage = %start.stage, step = start.step, is_cached, "checkpoint at hand");
    let point = StartPoint { stage: start.stage, step: start.step, blobs };
    let order = Order { stage, dataset_dir, start: Some(point) };
    Ok(Box::new(Prepared { order, downloaded: (!is_cached).then_some(start) }))
}

async fn fetch(storage: &Storage, start: &CheckpointRef) -> Result<Blobs, DownloadError> {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    for _ in 1..TRIES {
        match download(storage.store().as_ref(), start).await {
            Err(error) if error.is_retryable() => {
                warn!(error = chain(&error), "trying again");
                tokio::time::sleep(backoff.next(rand::random())).await;
            }
            result => return result,
        }
    }
    download(storage.store().as_ref(), start).await
}

/// Brings a checkpoint into the form that is stored, and stores it after those before it.
pub(crate) async fn store(
    storage: Storage,
    turn: Arc<Mutex<()>>,
    key: AttemptKey,
    step: u64,
    blobs: PendingBlobs,
) -> Result<(CheckpointRef, Blobs), StoreError> {
    // The mutex is fair, so checkpoints arrive in the order they were taken.
    let _turn = turn.lock().await;
    let blobs = Blobs::new(off_thread(blobs).await.map_err(StoreError::Take)?);
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    for _ in 1..TRIES {
        match upload(storage.store().as_ref(), key, step, &blobs).await {
            Ok(checkpoint) => return Ok((checkpoint, blobs)),
            Err(error) => {
                warn!(error = chain(&error), "trying again");
                tokio::time::sleep(backoff.next(rand::random())).await;
            }
        }
    }
    Ok((upload(storage.store().as_ref(), key, step, &blobs).await?, blobs))
}
