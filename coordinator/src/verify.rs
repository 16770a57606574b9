//! Verifies that a checkpoint a worker reports is there, and whole.

use std::error::Error;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::layout;
use proto::limits::MAX_MANIFEST_BYTES;
use proto::manifest::{BlobEntry, CheckpointManifest, ManifestError};
use storage::{MARKER, Storage, StorageId};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;
use vocabulary::{AttemptKey, Backoff, DatasetId};

use crate::datasets::{self, Presence};
use crate::store::CommittedCheckpoint;

/// A checkpoint as a worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointClaim {
    pub(crate) key: AttemptKey,
    pub(crate) step: u64,
    pub(crate) manifest_path: String,
    pub(crate) manifest_hash: String,
}

/// What of a checkpoint the coordinator looks at before it commits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Every byte.
    Full,
    /// The manifest, and that each file is there and of its size. The service of a bucket compared what it took with a hash
    /// that the worker sent along, and whoever starts from the checkpoint compares every byte.
    Sizes,
}

impl Verification {
    /// The usual one for a storage. A folder is read back: nothing else has compared what arrived there. A bucket is not: all
    /// checkpoints of all workers would have to pass the coordinator's machine.
    #[must_use]
    pub fn usual(storage: &Storage) -> Self {
        if storage.is_bucket() { Self::Sizes } else { Self::Full }
    }
}

/// Why a checkpoint is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("the storage is not there: its root has no {MARKER} of this coordinator")]
    Away,
    #[error("manifest path: expected {expected}, found {found:?}")]
    Path { expected: String, found: String },
    #[error("cannot read {path}")]
    Read { path: String, source: object_store::Error },
    #[error("the storage did not give {path} in time")]
    TooSlow { path: String },
    #[error("{path}: expected {expected} bytes, found {found}")]
    Size { path: String, found: u64, expected: u64 },
    #[error("{path} is corrupt: its hash differs")]
    Hash { path: String },
    #[error("cannot read its manifest")]
    Manifest(#[from] ManifestError),
    #[error("its manifest belongs to {} {} at step {}", .found.stage, .found.attempt, .found.step)]
    OtherCheckpoint { found: Box<CheckpointManifest> },
    #[error("it has no files")]
    Empty,
}

impl VerifyError {
    /// Whether another try may succeed because the storage did not answer. Damage and absence are final.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Read { source, .. } => !matches!(source, object_store::Error::NotFound { .. }),
            Self::TooSlow { .. } | Self::Away => true,
            _ => false,
        }
    }

    /// Whether no storage can have made it so: it is the worker that reported what cannot be.
    pub(crate) fn is_impossible(&self) -> bool {
        matches!(self, Self::Path { .. } | Self::OtherCheckpoint { .. } | Self::Empty)
    }

    fn is_absence(&self) -> bool {
        matches!(self, Self::Read { source: object_store::Error::NotFound { .. }, .. })
    }
}

impl From<&CommittedCheckpoint> for CheckpointClaim {
    fn from(committed: &CommittedCheckpoint) -> Self {
        let CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, .. } = committed.clone();
        Self { key: AttemptKey { stage, attempt }, step, manifest_path, manifest_hash }
    }
}

/// How long a checkpoint is read again while its storage does not answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// The waits between the tries.
    pub(crate) waits: Backoff,
    /// Tries, the first included.
    pub(crate) tries: u32,
}

/// For a checkpoint that a worker wrote, about ten minutes: what it trained depends on it, and nobody else waits.
pub(crate) const WRITTEN: Patience =
    Patience { waits: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) }, tries: 25 };

/// For a committed checkpoint: whoever asks can ask again.
pub(crate) const COMMITTED: Patience =
    Patience { waits: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(2) }, tries: 4 };

/// How often a file that is not there is looked for: a network file system may show late what another machine wrote.
const TRIES_OF_ABSENT: u32 = 3;

/// A storage that gives nothing for so long does not answer, as a network file system whose server is gone.
const LONGEST_READ: Duration = Duration::from_secs(60);

/// Runs [`verify`], and again while the storage does not answer. `slots` bounds how many read at the same time, and `tell`
/// hears of each try that failed and will be followed by another.
pub(crate) async fn verify_patiently(
    storage: &dyn ObjectStore,
    marker: Option<&StorageId>,
    claim: &CheckpointClaim,
    verification: Verification,
    patience: Patience,
    slots: &Semaphore,
    tell: impl Fn(&VerifyError),
) -> Result<u64, VerifyError> {
    let (stage, step) = (claim.key.stage, claim.step);
    let mut failures = 0;
    loop {
        let mut outcome = {
            // It is never closed; if it were, reading without a place would do no harm.
            let _slot = slots.acquire().await;
            verify(storage, claim, verification).await
        };
        // An empty folder where a file system should be mounted has lost nothing.
        if let Some(marker) = marker
            && outcome.as_ref().is_err_and(VerifyError::is_absence)
            && !matches!(StorageId::of(storage).await, Ok(Some(found)) if found == *marker)
        {
            outcome = Err(VerifyError::Away);
        }
        failures += 1;
        let tries = match &outcome {
            Err(error) if error.is_retryable() => patience.tries,
            Err(error) if error.is_absence() => patience.tries.min(TRIES_OF_ABSENT),
            _ => return outcome,
        };
        let Err(error) = outcome else { return outcome };
        if failures >= tries {
            return Err(error);
        }
        let wait = patience.waits.wait_after(failures);
        warn!(%stage, step, error = &error as &dyn Error, ?wait, "a checkpoint cannot be read; trying again");
        tell(&error);
        tokio::time::sleep(wait).await;
    }
}

/// The state of a committed checkpoint.
#[derive(Debug)]
pub(crate) enum CheckpointHealth {
    /// It is as it was committed.
    Sound,
    /// It is damaged or gone.
    Damaged(VerifyError),
    /// The storage does not answer, so nothing can be said of it.
    Unreachable(VerifyError),
}

/// Checks what has become of a committed checkpoint of a stage that trains on this data.
///
/// A missing file counts as lost only if the storage still has the stage's data: an empty folder where a file system
/// should be mounted has neither, and nothing was lost.
pub(crate) async fn examine(
    storage: &dyn ObjectStore,
    marker: Option<&StorageId>,
    committed: &CommittedCheckpoint,
    data: &DatasetId,
    patience: Patience,
) -> CheckpointHealth {
    let (claim, slots) = (committed.into(), Semaphore::new(1));
    match verify_patiently(storage, marker, &claim, Verification::Full, patience, &slots, |_| ()).await {
        Ok(_) => CheckpointHealth::Sound,
        Err(error) if error.is_retryable() => CheckpointHealth::Unreachable(error),
        Err(error) if error.is_absence() && !has_dataset(storage, data).await => CheckpointHealth::Unreachable(error),
        Err(error) => CheckpointHealth::Damaged(error),
    }
}

async fn has_dataset(storage: &dyn ObjectStore, data: &DatasetId) -> bool {
    matches!(datasets::look_for(storage, data).await, Ok(Presence::Whole))
}

/// Compares a checkpoint with its manifest and with what the worker reported. Returns its size in bytes.
pub(crate) async fn verify(
    storage: &dyn ObjectStore,
    claim: &CheckpointClaim,
    verification: Verification,
) -> Result<u64, VerifyError> {
    let CheckpointClaim { key, step, manifest_path, manifest_hash } = claim;
    let expected = layout::manifest_path(*key, *step);
    if *manifest_path != expected {
        return Err(VerifyError::Path { expected, found: manifest_path.clone() });
    }
    let text = read_manifest(storage, manifest_path).await?;
    if blake3::hash(&text).to_hex().as_str() != manifest_hash {
        return Err(VerifyError::Hash { path: expected });
    }
    let manifest = CheckpointManifest::from_json(&text)?;
    if (manifest.stage, manifest.attempt, manifest.step) != (key.stage, key.attempt, *step) {
        return Err(VerifyError::OtherCheckpoint { found: Box::new(manifest) });
    }
    if manifest.blobs.is_empty() {
        return Err(VerifyError::Empty);
    }
    let folder = layout::checkpoint_path(*key, *step);
    let mut bytes = text.len() as u64;
    for blob in &manifest.blobs {
        match verification {
            Verification::Full => verify_blob(storage, &folder, blob).await?,
            Verification::Sizes => verify_size(storage, &folder, blob).await?,
        }
        bytes = bytes.saturating_add(blob.bytes);
    }
    Ok(bytes)
}

async fn read_manifest(storage: &dyn ObjectStore, path: &str) -> Result<Vec<u8>, VerifyError> {
    let read = |source| VerifyError::Read { path: path.to_owned(), source };
    let object = in_time(path, storage.get(&Path::from(path))).await?.map_err(read)?;
    let (found, expected) = (object.meta.size, MAX_MANIFEST_BYTES as u64);
    if found > expected {
        return Err(VerifyError::Size { path: path.to_owned(), found, expected });
    }
    Ok(in_time(path, object.bytes()).await?.map_err(read)?.to_vec())
}

async fn in_time<T>(path: &str, reading: impl Future<Output = T>) -> Result<T, VerifyError> {
    timeout(LONGEST_READ, reading).await.map_err(|_| VerifyError::TooSlow { path: path.to_owned() })
}

async fn verify_size(storage: &dyn ObjectStore, folder: &str, blob: &BlobEntry) -> Result<(), VerifyError> {
    let path = format!("{folder}/{}", blob.name);
    let found = in_time(&path, storage.head(&Path::from(path.as_str()))).await?;
    let found = found.map_err(|source| VerifyError::Read { path: path.clone(), source })?.size;
    if found == blob.bytes { Ok(()) } else { Err(VerifyError::Size { path, found, expected: blob.bytes }) }
}

async fn verify_blob(storage: &dyn ObjectStore, folder: &str, blob: &BlobEntry) -> Result<(), VerifyError> {
    let path = format!("{folder}/{}", blob.name);
    let read = |source| VerifyError::Read { path: path.clone(), source };
    let object = in_time(&path, storage.get(&Path::from(path.as_str()))).await?.map_err(read)?;
    if object.meta.size != blob.bytes {
        return Err(VerifyError::Size { path, found: object.meta.size, expected: blob.bytes });
    }
    let mut hasher = blake3::Hasher::new();
    let mut chunks = object.into_stream();
    while let Some(chunk) = in_time(&path, chunks.try_next()).await?.map_err(read)? {
        hasher.update(&chunk);
        // Files may be large, and hashing never yields: let other tasks run between chunks.
        tokio::task::consume_budget().await;
    }
    if hasher.finalize().to_hex().as_str() != blob.blake3 {
        return Err(VerifyError::Hash { path });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use vocabulary::{Attempt, StageKey};

    use std::sync::Arc;

    use super::*;
    use crate::faulty::{Faulty, Rates};

    const AT_ONCE: Patience = Patience { waits: Backoff { first: Duration::ZERO, longest: Duration::ZERO }, tries: 4 };

    async fn put(storage: &InMemory, path: &str, content: &[u8]) {
        storage.put(&Path::from(path), content.to_vec().into()).await.expect("memory takes everything");
    }

    /// A sound checkpoint, and what a worker would say of it.
    async fn checkpoint() -> (InMemory, CheckpointClaim) {
        let storage = InMemory::new();
        let (key, step) = (AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(2) }, 40);
        let folder = layout::checkpoint_path(key, step);
        let weights = b"weights".as_slice();
        put(&storage, &format!("{folder}/weights.safetensors"), weights).await;
        let blob = BlobEntry {
            name: "weights.safetensors".to_owned(),
            bytes: weights.len() as u64,
            blake3: blake3::hash(weights).to_hex().to_string(),
        };
        let manifest = CheckpointManifest::new(key, step, vec![blob]);
        let manifest_path = layout::manifest_path(key, step);
        put(&storage, &manifest_path, &manifest.to_json()).await;
        let manifest_hash = blake3::hash(&manifest.to_json()).to_hex().to_string();
        (storage, CheckpointClaim { key, step, manifest_path, manifest_hash })
    }

    #[tokio::test]
    async fn a_whole_checkpoint_is_accepted() {
        let (storage, claim) = checkpoint().await;
        assert!(verify(&storage, &claim, Verification::Full).await.expect("it is whole") > 7);
    }

    #[tokio::test]
    async fn a_damaged_one_is_refused() {
        let (storage, claim) = checkpoint().await;
        let weights = format!("{}/weights.safetensors", layout::checkpoint_path(claim.key, claim.step));
        put(&storage, &weights, b"wEights").await;
        assert!(matches!(verify(&storage, &claim, Verification::Full).await, Err(VerifyError::Hash { .. })));
        put(&storage, &weights, b"weight").await;
        assert!(matches!(
            verify(&storage, &claim, Verification::Full).await,
            Err(VerifyError::Size { found: 6, expected: 7, .. })
        ));
        storage.delete(&Path::from(weights)).await.expect("it is there");
        assert!(matches!(verify(&storage, &claim, Verification::Full).await, Err(VerifyError::Read { .. })));
    }

    #[tokio::test]
    async fn sizes_alone_find_what_is_missing_or_short_and_read_nothing_else() {
        let (storage, claim) = checkpoint().await;
        let weights = format!("{}/weights.safetensors", layout::checkpoint_path(claim.key, claim.step));
        put(&storage, &weights, b"wEights").await;
        verify(&storage, &claim, Verification::Sizes).await.expect("of its size");
        put(&storage, &weights, b"weight").await;
        assert!(matches!(verify(&storage, &claim, Verification::Sizes).await, Err(VerifyError::Size { found: 6, .. })));
        storage.delete(&Path::from(weights)).await.expect("it is there");
        let error = verify(&storage, &claim, Verification::Sizes).await.expect_err("it is gone");
        assert!(error.is_absence(), "{error}");
        put(&storage, &claim.manifest_path, b"{}").await;
        assert!(matches!(verify(&storage, &claim, Verification::Sizes).await, Err(VerifyError::Hash { .. })));
    }

    #[tokio::test]
    async fn what_is_gone_is_believed_of_a_storage_that_is_there() {
        let (storage, claim) = checkpoint().await;
        let data = DatasetId::from_content(b"some text");
        let CheckpointClaim { key: AttemptKey { stage, attempt }, step, manifest_path, manifest_hash } = claim;
        let committed = CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes: 1 };
        assert!(matches!(examine(&storage, None, &committed, &data, AT_ONCE).await, CheckpointHealth::Sound));
        storage.delete(&Path::from(committed.manifest_path.as_str())).await.expect("it is there");
        let unmounted = examine(&storage, None, &committed, &data, AT_ONCE).await;
        assert!(matches!(unmounted, CheckpointHealth::Unreachable(VerifyError::Read { .. })), "{unmounted:?}");
        put(&storage, &format!("{}/manifest.json", layout::dataset_path(&data)), b"{}").await;
        let gone = examine(&storage, None, &committed, &data, AT_ONCE).await;
        assert!(matches!(gone, CheckpointHealth::Damaged(VerifyError::Read { .. })), "{gone:?}");
    }

    #[tokio::test]
    async fn a_storage_that_fails_is_no_damage_and_what_it_cuts_off_is_never_sound() {
        let (sound, claim) = checkpoint().await;
        let data = DatasetId::from_content(b"some text");
        put(&sound, &format!("{}/manifest.json", layout::dataset_path(&data)), b"{}").await;
        let CheckpointClaim { key: AttemptKey { stage, attempt }, step, manifest_path, manifest_hash } = claim;
        let committed = CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes: 1 };
        let sound = Arc::new(sound);
        let mut found = [0; 2];
        for seed in 0..200 {
            let rates = Rates { get_fails: 500, ..Rates::default() };
            let failing = Faulty::new(sound.clone(), rates, seed);
            match examine(&failing, None, &committed, &data, AT_ONCE).await {
                CheckpointHealth::Sound => found[0] += 1,
                CheckpointHealth::Unreachable(_) => found[1] += 1,
                CheckpointHealth::Damaged(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert!(found.iter().all(|times| *times > 20), "{found:?}");
        let cut = Faulty::new(sound, Rates { get_is_short: 1000, ..Rates::default() }, 1);
        assert!(matches!(examine(&cut, None, &committed, &data, AT_ONCE).await, CheckpointHealth::Damaged(_)));
    }

    #[tokio::test]
    async fn a_storage_that_answers_again_before_patience_ends_has_lost_nothing() {
        let (sound, claim) = checkpoint().await;
        let failing = Faulty::new(Arc::new(sound), Rates { get_fails: 700, ..Rates::default() }, 5);
        let (slots, told) = (Semaphore::new(1), std::cell::Cell::new(0));
        let patient = Patience { tries: 1000, ..AT_ONCE };
        let bytes =
            verify_patiently(&failing, None, &claim, Verification::Full, patient, &slots, |_| told.set(told.get() + 1))
                .await;
        assert!(bytes.expect("it is read in the end") > 7);
        assert!(told.get() > 3, "somebody hears of each try that failed");
        assert_eq!(slots.available_permits(), 1);

        let away = Faulty::new(Arc::new(InMemory::new()), Rates { get_fails: 1000, ..Rates::default() }, 5);
        let error = verify_patiently(&away, None, &claim, Verification::Full, AT_ONCE, &slots, |_| ())
            .await
            .expect_err("it never answers");
        assert!(error.is_retryable() && !error.is_impossible(), "{error}");
    }

    #[tokio::test]
    async fn what_is_missing_in_an_unmarked_folder_is_away_and_not_lost() {
        let (storage, claim) = checkpoint().await;
        storage.delete(&Path::from(claim.manifest_path.as_str())).await.expect("it is there");
        let (id, slots) = (StorageId::fresh(), Semaphore::new(1));
        let error = verify_patiently(&storage, Some(&id), &claim, Verification::Full, AT_ONCE, &slots, |_| ())
            .await
            .expect_err("it is gone");
        assert!(matches!(error, VerifyError::Away) && error.is_retryable(), "{error}");
        id.mark(&storage).await.expect("memory takes everything");
        let error = verify_patiently(&storage, Some(&id), &claim, Verification::Full, AT_ONCE, &slots, |_| ())
            .await
            .expect_err("it is gone");
        assert!(error.is_absence(), "{error}");
    }

    #[tokio::test]
    async fn one_that_is_not_what_was_said_is_refused() {
        let (storage, claim) = checkpoint().await;
        let other_hash = CheckpointClaim { manifest_hash: "00".repeat(32), ..claim.clone() };
        assert!(matches!(verify(&storage, &other_hash, Verification::Full).await, Err(VerifyError::Hash { .. })));
        let elsewhere = CheckpointClaim { manifest_path: "../etc/passwd".to_owned(), ..claim.clone() };
        assert!(matches!(verify(&storage, &elsewhere, Verification::Full).await, Err(VerifyError::Path { .. })));

        let later = CheckpointClaim { step: 41, manifest_path: layout::manifest_path(claim.key, 41), ..claim.clone() };
        let text = storage.get(&Path::from(claim.manifest_path.as_str())).await.expect("it is there");
        put(&storage, &later.manifest_path, &text.bytes().await.expect("it is read")).await;
        assert!(matches!(verify(&storage, &later, Verification::Full).await, Err(VerifyError::OtherCheckpoint { .. })));
    }
}
