//! Checkpoints by way of the machine's cache: the branches of a trunk start from the same one, often on the same machine.

use std::path::PathBuf;

use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use storage::Storage;
use tracing::{debug, warn};
use vocabulary::text::one_line;

use super::transfer::{manifest_of, read};
use super::{Blobs, CheckpointRef, DownloadError, download};
use crate::fetch::{FetchError, fetch_file};
use crate::node_cache::{CacheError, InUse, NodeCache};

/// Reads a checkpoint and verifies every byte. One from a bucket is kept in the machine's cache if there is room for it.
pub(crate) async fn download_through(
    storage: &Storage,
    wanted: &CheckpointRef,
    cache: &NodeCache,
) -> Result<Blobs, DownloadError> {
    if !storage.is_bucket() {
        return download(storage.store().as_ref(), wanted).await;
    }
    let name = format!("checkpoint-{}", wanted.manifest_hash.to_hex());
    match cached(storage, wanted, cache, &name).await? {
        Some(held) => {
            let from_cache = async {
                let local = Storage::local(held.content()).ok()?;
                match download(local.store().as_ref(), wanted).await {
                    Ok(blobs) => Some(blobs),
                    Err(error) => {
                        warn!(error = one_line(&error), "the copy of a checkpoint in the cache is damaged");
                        None
                    }
                }
            };
            if let Some(blobs) = from_cache.await {
                return Ok(blobs);
            }
            if let Err(error) = cache.discard(&name).await {
                warn!(error = one_line(&error), "cannot remove it from the cache");
            }
            download(storage.store().as_ref(), wanted).await
        }
        None => download(storage.store().as_ref(), wanted).await,
    }
}

/// The folder of a checkpoint in the cache. `None` if it cannot be kept there.
async fn cached(
    storage: &Storage,
    wanted: &CheckpointRef,
    cache: &NodeCache,
    name: &str,
) -> Result<Option<InUse>, DownloadError> {
    match cache.held(name).await {
        Ok(Some(held)) => return Ok(Some(held)),
        Ok(None) => {}
        Err(error) => {
            warn!(error = one_line(&error), "cannot use the cache");
            return Ok(None);
        }
    }
    let path = &wanted.manifest_path;
    let text = read(storage.store().as_ref(), path).await?;
    let manifest = manifest_of(wanted, &text)?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut files = Vec::new();
    for (path, bytes) in manifest
        .blobs
        .iter()
        .map(|blob| (format!("{folder}/{}", blob.name), blob.bytes))
        .chain([(path.clone(), text.len() as u64)])
    {
        let found = storage.store().head(&StorePath::from(path.as_str())).await;
        let found = found.map_err(|source| DownloadError::Get { path: path.clone(), source })?;
        // Whatever the bucket has now, no more room is made than for what was committed.
        if found.size != bytes {
            return Err(DownloadError::Damaged { path });
        }
        files.push(found);
    }
    let bytes = files.iter().map(|file| file.size).sum();
    let files = &files;
    let fill = |dir: PathBuf| async move {
        for file in files {
            let to = file.location.parts().fold(dir.clone(), |path, part| path.join(part.as_ref()));
            let failed = |error| Failed { path: file.location.to_string(), error };
            fetch_file(storage, file, &to).await.map_err(failed)?;
        }
        Ok(())
    };
    match cache.hold(name, bytes, fill).await {
        Ok(held) => Ok(Some(held)),
        Err(CacheError::Fill(Failed { path, error: FetchError::Get(source) })) => {
            Err(DownloadError::Get { path, source })
        }
        // A checkpoint can be had without the cache.
        Err(error) => {
            debug!(error = one_line(&error), "a checkpoint is not kept in the cache");
            Ok(None)
        }
    }
}

/// A file that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {path}")]
struct Failed {
    path: String,
    #[source]
    error: FetchError,
}
