//! Finds prepared data on this machine, downloading it if necessary.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use corpus::OpenDataset;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use proto::layout::MANIFEST;
use storage::Storage;
use tracing::{info, warn};
use vocabulary::DatasetId;
use vocabulary::text::one_line;

use crate::checkpoint::off_thread;

/// How long a file system may take to answer whether there is a directory.
const LONGEST_LOOK: Duration = Duration::from_secs(5 * 60);

/// A dataset that is not available.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The dataset does not exist in the storage.
    #[error("{id} is not in the storage: expected it at {place}")]
    Absent {
        id: DatasetId,
        /// The expected location.
        place: String,
    },
    /// The file system does not answer.
    #[error("cannot look for {id}: the file system of {place} has not answered for {} s", LONGEST_LOOK.as_secs())]
    Silent {
        id: DatasetId,
        /// Where it should be.
        place: String,
    },
    /// The storage failed.
    #[error("cannot download {id}")]
    Download {
        id: DatasetId,
        #[source]
        source: object_store::Error,
    },
    /// The storage's folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The local cache cannot be written.
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The files do not match the dataset's hash.
    #[error("the copy of {id} is damaged: {problem}")]
    Damaged {
        id: DatasetId,
        /// The mismatch, as a clause.
        problem: String,
    },
}

/// The directory of a dataset: in the storage itself if that is local, otherwise in `cache`, to which it is downloaded
/// once. What is in the cache is verified, and downloaded again if it is damaged; whoever opens a dataset verifies it.
pub async fn dataset_dir(storage: &Storage, id: &DatasetId, cache: &Path) -> Result<PathBuf, DatasetError> {
    let place = proto::layout::dataset_path(id);
    if let Some(root) = storage.directory() {
        let dir = root.join(&place);
        return match look(id, &dir.join(MANIFEST)).await? {
            Ok(_) => Ok(dir),
            Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(DatasetError::Absent { id: *id, place: dir.display().to_string() })
            }
            Err(source) => Err(DatasetError::Read { path: dir.join(MANIFEST), source }),
        };
    }
    let dir = cache.join(id.to_string());
    match verified(id, &dir).await {
        Ok(true) => return Ok(dir),
        Ok(false) => {}
        Err(error) => {
            // The storage has another copy.
            warn!(error = one_line(&error), "downloading again");
            let write = |source| DatasetError::Write { path: dir.clone(), source };
            tokio::fs::remove_dir_all(&dir).await.map_err(write)?;
        }
    }
    download(storage, id, &place, &dir).await?;
    Ok(dir)
}

/// Whether a directory exists. Fails if it does not hold the dataset. Reads files, however large, on a thread where that
/// delays no heartbeat.
async fn verified(id: &DatasetId, dir: &Path) -> Result<bool, DatasetError> {
    if !look(id, dir).await?.is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(false);
    }
    let (of, checked) = (*id, dir.to_owned());
    off_thread(move || check(&of, &checked)).await.map(|()| true)
}

/// Looks at a file or directory. A file system whose server is gone may never answer.
async fn look(id: &DatasetId, path: &Path) -> Result<io::Result<Metadata>, DatasetError> {
    let looked_at = path.to_owned();
    let answer = tokio::time::timeout(LONGEST_LOOK, off_thread(move || std::fs::metadata(looked_at))).await;
    answer.map_err(|_| DatasetError::Silent { id: *id, place: path.display().to_string() })
}

/// Downloads to a temporary directory and renames it at the end, so that a directory with the dataset's name is
/// complete.
async fn download(storage: &Storage, id: &DatasetId, place: &str, dir: &Path) -> Result<(), DatasetError> {
    let failed = |source| DatasetError::Download { id: *id, source };
    let prefix = StorePath::from(place);
    let files: Vec<_> = storage.store().list(Some(&prefix)).try_collect().await.map_err(failed)?;
    // It is sent last: without it, the others are what an upload left, or has sent so far.
    if !files.iter().any(|file| file.location.filename() == Some(MANIFEST)) {
        return Err(DatasetError::Absent { id: *id, place: place.to_owned() });
    }
    let partial = dir.with_file_name(proto::layout::partial_name(id));
    for file in files {
        let below = file.location.prefix_match(&prefix).into_iter().flatten();
        let path = below.fold(partial.clone(), |path, part| path.join(part.as_ref()));
        info!(dataset = %id, file = %path.display(), bytes = file.size, "downloading");
        let mut content = storage.store().get(&file.location).await.map_err(failed)?.into_stream();
        let write = |source| DatasetError::Write { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(write)?;
        }
        let mut output = tokio::fs::File::create(&path).await.map_err(write)?;
        while let Some(bytes) = content.try_next().await.map_err(failed)? {
            tokio::io::AsyncWriteExt::write_all(&mut output, &bytes).await.map_err(write)?;
        }
        output.sync_all().await.map_err(write)?;
    }
    let checked = verified(id, &partial).await;
    if checked.is_err() {
        let _ = tokio::fs::remove_dir_all(&partial).await;
    }
    checked?;
    match tokio::fs::rename(&partial, dir).await {
        Ok(()) => Ok(()),
        // Another worker on this machine was faster.
        Err(_) if look(id, dir).await?.is_ok_and(|metadata| metadata.is_dir()) => {
            let _ = tokio::fs::remove_dir_all(&partial).await;
            Ok(())
        }
        Err(source) => Err(DatasetError::Write { path: dir.to_owned(), source }),
    }
}

fn check(id: &DatasetId, dir: &Path) -> Result<(), DatasetError> {
    let damaged = |problem: String| DatasetError::Damaged { id: *id, problem };
    let dataset = OpenDataset::open(dir).map_err(|error| damaged(one_line(&error)))?;
    dataset.verify().map_err(|error| damaged(one_line(&error)))?;
    let found = dataset.dataset().id;
    if found == *id { Ok(()) } else { Err(damaged(format!("it is {found}"))) }
}
