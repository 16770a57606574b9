//! Downloads files from a storage to the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use storage::Storage;
use tokio::io::AsyncWriteExt;
use tracing::warn;
use vocabulary::Backoff;
use vocabulary::text::one_line;

/// How often a file is fetched. Object stores repeat requests by themselves before that.
const TRIES: u32 = 4;
/// The waits in between.
const WAITS: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) };

/// Why a file is not here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Get(object_store::Error),
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl FetchError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Get(source) if !matches!(source, object_store::Error::NotFound { .. }))
    }
}

/// Does something again while the storage does not answer.
pub(crate) async fn patiently<T, Once: Future<Output = Result<T, FetchError>>>(
    once: impl Fn() -> Once,
) -> Result<T, FetchError> {
    for failures in 1..TRIES {
        match once().await {
            Err(error) if error.may_pass() => {
                warn!(error = one_line(&error), "trying again");
                tokio::time::sleep(WAITS.wait_after(failures)).await;
            }
            result => return result,
        }
    }
    once().await
}

/// Downloads a file, and makes sure that it is on the disk. Its content is verified by who reads it.
pub(crate) async fn fetch_file(storage: &Storage, file: &ObjectMeta, to: &Path) -> Result<(), FetchError> {
    let write = |source| FetchError::Write { path: to.to_owned(), source };
    if let Some(parent) = to.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(write)?;
    }
    let once = || async {
        let mut content = storage.store().get(&file.location).await.map_err(FetchError::Get)?.into_stream();
        let mut output = tokio::fs::File::create(to).await.map_err(write)?;
        let mut bytes = 0;
        while let Some(chunk) = content.try_next().await.map_err(FetchError::Get)? {
            bytes += chunk.len() as u64;
            output.write_all(&chunk).await.map_err(write)?;
        }
        output.sync_all().await.map_err(write)?;
        // Of another size than was listed, it takes room that was not made for it.
        let other = || format!("{} has {bytes} bytes, not {}", file.location, file.size);
        if bytes == file.size {
            Ok(())
        } else {
            Err(FetchError::Get(object_store::Error::Generic { store: "storage", source: other().into() }))
        }
    };
    patiently(once).await
}
