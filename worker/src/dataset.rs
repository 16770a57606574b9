//! Finds prepared data on this machine, downloading it if necessary.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use corpus::OpenDataset;
use futures::TryStreamExt;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore as _};
use proto::layout::MANIFEST;
use storage::Storage;
use tracing::{info, warn};
use vocabulary::DatasetId;
use vocabulary::text::one_line;

use crate::checkpoint::off_thread;
use crate::fetch::{FetchError, fetch_file, patiently};
use crate::node_cache::{CacheError, InUse, NodeCache};

/// How long a file system may take to answer whether there is a directory.
const LONGEST_LOOK: Duration = Duration::from_secs(5 * 60);

/// How often a damaged copy is replaced before what comes is used as it is, and refused by whoever opens it.
const TRIES_OF_DAMAGED: u32 = 2;

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
    /// A file of the cache cannot be written.
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It cannot be kept on this machine.
    #[error("cannot keep {id} on this machine")]
    Cache {
        id: DatasetId,
        #[source]
        source: CacheError<std::convert::Infallible>,
    },
    /// The files do not match the dataset's hash.
    #[error("the copy of {id} is damaged: {problem}")]
    Damaged {
        id: DatasetId,
        /// The mismatch, as a clause.
        problem: String,
    },
}

/// A dataset on this machine.
#[derive(Debug)]
pub struct LocalDataset {
    /// Its directory.
    pub dir: PathBuf,
    /// Keeps it in the cache, if that is where it is.
    pub in_use: Option<InUse>,
}

/// The directory of a dataset: in the storage itself if that is a folder, where it was prepared if that was on this machine, or
/// otherwise in the machine's cache, to which it is downloaded once. What is in the cache is verified, and downloaded again if
/// it is damaged; whoever opens a dataset verifies it.
pub async fn local_dataset(storage: &Storage, id: &DatasetId, cache: &NodeCache) -> Result<LocalDataset, DatasetError> {
    let place = proto::layout::dataset_path(id);
    if let Some(root) = storage.directory() {
        let dir = root.join(&place);
        return match look(id, &dir.join(MANIFEST)).await? {
            Ok(_) => Ok(LocalDataset { dir, in_use: None }),
            Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(DatasetError::Absent { id: *id, place: dir.display().to_string() })
            }
            Err(source) => Err(DatasetError::Read { path: dir.join(MANIFEST), source }),
        };
    }
    let prepared = cache.prepared.join(id.to_string());
    match verified(id, &prepared).await {
        Ok(true) => return Ok(LocalDataset { dir: prepared, in_use: None }),
        Ok(false) => {}
        // The storage has another copy.
        Err(error) => warn!(error = one_line(&error), "downloading it instead"),
    }
    let name = id.to_string();
    for _ in 0..TRIES_OF_DAMAGED {
        let held = match cache.held(&name).await.map_err(|source| cannot_cache(id, &prepared, source))? {
            Some(held) => held,
            None => download(storage, id, &place, cache).await?,
        };
        match verified(id, held.content()).await {
            Ok(_) => return Ok(LocalDataset { dir: held.content().to_owned(), in_use: Some(held) }),
            Err(error) => {
                warn!(error = one_line(&error), "downloading again");
                drop(held);
                cache.discard(&name).await.map_err(|source| cannot_cache(id, &prepared, source))?;
            }
        }
    }
    let held = download(storage, id, &place, cache).await?;
    verified(id, held.content()).await?;
    Ok(LocalDataset { dir: held.content().to_owned(), in_use: Some(held) })
}

fn cannot_cache(id: &DatasetId, near: &Path, source: io::Error) -> DatasetError {
    let path = near.to_owned();
    DatasetError::Cache { id: *id, source: CacheError::Io { path, source } }
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

/// Downloads a dataset into the cache.
async fn download(storage: &Storage, id: &DatasetId, place: &str, cache: &NodeCache) -> Result<InUse, DatasetError> {
    let prefix = StorePath::from(place);
    let list = || async {
        storage.store().list(Some(&prefix)).try_collect::<Vec<ObjectMeta>>().await.map_err(FetchError::Get)
    };
    let failed = |error| match error {
        FetchError::Get(source) => DatasetError::Download { id: *id, source },
        FetchError::Write { path, source } => DatasetError::Write { path, source },
    };
    let files = patiently(list).await.map_err(failed)?;
    // The manifest is sent last: without it, the rest is not all there yet.
    if !files.iter().any(|file| file.location.filename() == Some(MANIFEST)) {
        return Err(DatasetError::Absent { id: *id, place: place.to_owned() });
    }
    let bytes = files.iter().map(|file| file.size).sum();
    info!(dataset = %id, files = files.len(), bytes, "downloading");
    let (files, prefix) = (&files, &prefix);
    let fill = |dir: PathBuf| async move {
        for file in files {
            let below = file.location.prefix_match(prefix).into_iter().flatten();
            let to = below.fold(dir.clone(), |path, part| path.join(part.as_ref()));
            fetch_file(storage, file, &to).await?;
        }
        Ok(())
    };
    let held = cache.hold(&id.to_string(), bytes, fill).await;
    held.map_err(|error| match error {
        CacheError::Fill(error) => failed(error),
        CacheError::Io { path, source } => DatasetError::Cache { id: *id, source: CacheError::Io { path, source } },
        CacheError::NoRoom { needed, budget, in_use, dir } => {
            DatasetError::Cache { id: *id, source: CacheError::NoRoom { needed, budget, in_use, dir } }
        }
    })
}

fn check(id: &DatasetId, dir: &Path) -> Result<(), DatasetError> {
    let damaged = |problem: String| DatasetError::Damaged { id: *id, problem };
    let dataset = OpenDataset::open(dir).map_err(|error| damaged(one_line(&error)))?;
    dataset.verify().map_err(|error| damaged(one_line(&error)))?;
    let found = dataset.dataset().id;
    if found == *id { Ok(()) } else { Err(damaged(format!("it is {found}"))) }
}
