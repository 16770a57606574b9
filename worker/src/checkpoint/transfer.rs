//! Uploads and downloads one checkpoint.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use proto::manifest::{BlobEntry, CheckpointManifest, ManifestError};
use trainer::Blob;
use vocabulary::AttemptKey;

use super::{Blobs, CheckpointRef};

/// A checkpoint that could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The storage refused an object.
    #[error("cannot write {path} to the storage")]
    Put {
        path: String,
        #[source]
        source: object_store::Error,
    },
    /// The storage made no progress.
    #[error("the storage did not take {path} in time")]
    TooSlow {
        /// The object to be written.
        path: String,
    },
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The storage failed to return an object.
    #[error("cannot read {path} from the storage")]
    Get {
        path: String,
        #[source]
        source: object_store::Error,
    },
    /// The storage made no progress.
    #[error("the storage did not give {path} in time")]
    TooSlow {
        /// The object to be read.
        path: String,
    },
    /// The manifest's hash is not the committed one.
    #[error("{path} was changed after it was committed")]
    ChangedManifest { path: String },
    /// The manifest is not valid JSON.
    #[error("{path} is not a manifest")]
    Manifest {
        path: String,
        #[source]
        source: ManifestError,
    },
    /// The manifest belongs to another checkpoint.
    #[error("{path} is the manifest of {found}")]
    Other {
        path: String,
        /// Stage and step in the manifest.
        found: String,
    },
    /// A blob's size or hash differs from the manifest's.
    #[error("{path} is damaged: its size or its hash is not the manifest's")]
    Damaged { path: String },
}

impl DownloadError {
    /// Whether a retry may succeed: damage and absence are permanent.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Get { source, .. } => !matches!(source, object_store::Error::NotFound { .. }),
            Self::TooSlow { .. } => true,
            Self::ChangedManifest { .. } | Self::Manifest { .. } | Self::Other { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// The blobs of a checkpoint that the storage has taken, for the next try.
#[derive(Debug, Default)]
pub(crate) struct Taken(Mutex<BTreeSet<usize>>);

impl Taken {
    fn note(&self, index: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
    }

    fn has(&self, index: usize) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }
}

/// Writes a checkpoint: the blobs, and once they are stored, the manifest.
///
/// Each object appears atomically, under a path that no other attempt writes to.
pub async fn upload(
    store: &dyn ObjectStore,
    key: AttemptKey,
    step: u64,
    blobs: &Blobs,
) -> Result<CheckpointRef, UploadError> {
    upload_missing(store, key, step, blobs, &Taken::default()).await
}

/// Writes what an earlier try to store the same checkpoint has not. The service compared each blob that it took with a hash, so
/// only its size is asked for before it is left out.
pub(crate) async fn upload_missing(
    store: &dyn ObjectStore,
    key: AttemptKey,
    step: u64,
    blobs: &Blobs,
    taken: &Taken,
) -> Result<CheckpointRef, UploadError> {
    let dir = proto::layout::checkpoint_path(key, step);
    let hashing = Blobs::clone(blobs);
    let hashes = off_thread(move || hashing.iter().map(entry).collect::<Vec<_>>());
    let puts = (0..blobs.len()).map(async |index| {
        let path = format!("{dir}/{}", blobs[index].name);
        if taken.has(index) && has_size(store, &path, blobs[index].bytes.len()).await {
            return Ok(());
        }
        put(store, path, Bytes::from_owner(SharedBlob { blobs: Blobs::clone(blobs), index })).await?;
        taken.note(index);
        Ok(())
    });
    // A blob that fails stops no other: the next try need not send that one again.
    let (entries, stored) = futures::join!(hashes, join_all(puts));
    stored.into_iter().collect::<Result<(), UploadError>>()?;
    let manifest = CheckpointManifest::new(key, step, entries).to_json();
    let manifest_hash = blake3::hash(manifest.as_ref());
    let manifest_path = proto::layout::manifest_path(key, step);
    put(store, manifest_path.clone(), Bytes::from(manifest)).await?;
    Ok(CheckpointRef { stage: key.stage, step, manifest_path, manifest_hash })
}

/// Reads a checkpoint and verifies every byte.
pub async fn download(store: &dyn ObjectStore, wanted: &CheckpointRef) -> Result<Blobs, DownloadError> {
    let path = &wanted.manifest_path;
    let manifest = manifest_of(wanted, &read(store, path).await?)?;
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let blobs = manifest.blobs.iter().map(|expected| checked(store, format!("{dir}/{}", expected.name), expected));
    Ok(Blobs::new(try_join_all(blobs).await?))
}

/// The manifest of a checkpoint, if this is its text.
pub(super) fn manifest_of(wanted: &CheckpointRef, text: &[u8]) -> Result<CheckpointManifest, DownloadError> {
    let path = || wanted.manifest_path.clone();
    if blake3::hash(text) != wanted.manifest_hash {
        return Err(DownloadError::ChangedManifest { path: path() });
    }
    let manifest =
        CheckpointManifest::from_json(text).map_err(|source| DownloadError::Manifest { path: path(), source })?;
    if manifest.stage != wanted.stage || manifest.step != wanted.step {
        let found = format!("{} after step {}", manifest.stage.short(), manifest.step);
        return Err(DownloadError::Other { path: path(), found });
    }
    Ok(manifest)
}

/// Finds the checkpoint that an attempt wrote after `step` steps, for callers without a coordinator to ask.
pub async fn find(
    store: &dyn ObjectStore,
    key: AttemptKey,
    step: u64,
) -> Result<Option<(CheckpointRef, Blobs)>, DownloadError> {
    let manifest_path = proto::layout::manifest_path(key, step);
    let manifest = match read(store, &manifest_path).await {
        Err(DownloadError::Get { source: object_store::Error::NotFound { .. }, .. }) => return Ok(None),
        manifest => manifest?,
    };
    let checkpoint = CheckpointRef { stage: key.stage, step, manifest_path, manifest_hash: blake3::hash(&manifest) };
    let blobs = download(store, &checkpoint).await?;
    Ok(Some((checkpoint, blobs)))
}

async fn checked(store: &dyn ObjectStore, path: String, expected: &BlobEntry) -> Result<Blob, DownloadError> {
    let bytes = Vec::from(read(store, &path).await?);
    let name = expected.name.clone();
    let (blob, found) = off_thread(move || {
        let blob = Blob { name, bytes };
        let found = entry(&blob);
        (blob, found)
    })
    .await;
    if found == *expected { Ok(blob) } else { Err(DownloadError::Damaged { path }) }
}

fn entry(blob: &Blob) -> BlobEntry {
    let blake3 = blake3::hash(&blob.bytes).to_hex().to_string();
    BlobEntry { name: blob.name.clone(), bytes: blob.bytes.len() as u64, blake3 }
}

/// Whether an object is there and as long as it should be.
async fn has_size(store: &dyn ObjectStore, path: &str, bytes: usize) -> bool {
    store.head(&Path::from(path)).await.is_ok_and(|found| found.size == bytes as u64)
}

async fn put(store: &dyn ObjectStore, path: String, content: Bytes) -> Result<(), UploadError> {
    match store.put(&Path::from(path.as_str()), PutPayload::from_bytes(content)).await {
        Ok(_) => Ok(()),
        Err(source) => Err(UploadError::Put { path, source }),
    }
}

pub(super) async fn read(store: &dyn ObjectStore, path: &str) -> Result<Bytes, DownloadError> {
    let reading = async { store.get(&Path::from(path)).await?.bytes().await };
    reading.await.map_err(|source| DownloadError::Get { path: path.to_owned(), source })
}

/// Runs blocking work on another thread than the session's.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// One of several blobs, for an upload without copying it.
struct SharedBlob {
    blobs: Blobs,
    index: usize,
}

impl AsRef<[u8]> for SharedBlob {
    fn as_ref(&self) -> &[u8] {
        &self.blobs[self.index].bytes
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use vocabulary::{Attempt, StageKey};

    use super::*;

    fn key() -> AttemptKey {
        AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(2) }
    }

    fn blobs() -> Blobs {
        let blob = |name: &str, byte| Blob { name: name.to_owned(), bytes: vec![byte; 1000] };
        Blobs::new(vec![blob("weights.safetensors", 1), blob("optimizer.safetensors", 2)])
    }

    async fn overwrite(store: &InMemory, path: &str, bytes: &'static [u8]) {
        put(store, path.to_owned(), Bytes::from_static(bytes)).await.expect("memory takes everything");
    }

    #[tokio::test]
    async fn what_is_uploaded_comes_back() {
        let store = InMemory::new();
        let checkpoint = upload(&store, key(), 30, &blobs()).await.expect("uploads");
        assert_eq!(download(&store, &checkpoint).await.expect("downloads"), blobs());
    }

    #[tokio::test]
    async fn another_try_sends_only_what_the_storage_has_not_taken() {
        let (store, taken, dir) = (InMemory::new(), Taken::default(), proto::layout::checkpoint_path(key(), 30));
        let [weights, optimizer] = ["weights", "optimizer"].map(|name| format!("{dir}/{name}.safetensors"));
        let upload = async || upload_missing(&store, key(), 30, &blobs(), &taken).await.expect("uploads");
        let first = upload().await;
        // Whatever was sent again would replace these.
        overwrite(&store, &weights, &[9; 1000]).await;
        overwrite(&store, &optimizer, &[9; 999]).await;
        assert_eq!(upload().await, first);
        let byte = async |path: &str| read(&store, path).await.expect("it is there")[0];
        assert_eq!((byte(&weights).await, byte(&optimizer).await), (9, 2), "the one of another size was sent again");
        store.delete(&Path::from(weights.as_str())).await.expect("deletes");
        upload().await;
        assert_eq!(download(&store, &first).await.expect("downloads"), blobs(), "what was lost was sent again");
    }

    #[tokio::test]
    async fn the_same_content_has_the_same_manifest() {
        let hash = async || upload(&InMemory::new(), key(), 30, &blobs()).await.expect("uploads").manifest_hash;
        assert_eq!(hash().await, hash().await);
    }

    #[tokio::test]
    async fn any_change_is_noticed() {
        let store = InMemory::new();
        let checkpoint = upload(&store, key(), 30, &blobs()).await.expect("uploads");
        let other = CheckpointRef { step: 31, ..checkpoint.clone() };
        assert!(matches!(download(&store, &other).await, Err(DownloadError::Other { .. })));

        let dir = proto::layout::checkpoint_path(key(), 30);
        overwrite(&store, &format!("{dir}/optimizer.safetensors"), &[3; 1000]).await;
        assert!(matches!(download(&store, &checkpoint).await, Err(DownloadError::Damaged { .. })));
        overwrite(&store, &checkpoint.manifest_path, b"{}").await;
        assert!(matches!(download(&store, &checkpoint).await, Err(DownloadError::ChangedManifest { .. })));
        store.delete(&Path::from(checkpoint.manifest_path.as_str())).await.expect("deletes");
        assert!(matches!(download(&store, &checkpoint).await, Err(DownloadError::Get { .. })));
    }
}
