//! Files of checkpoints that were never committed or were removed since: left behind by attempts that were cut short.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use scheduler::{Scheduler, StageState};
use vocabulary::{Attempt, AttemptKey};

/// The folder of all checkpoints.
const CHECKPOINTS: &str = "checkpoints";

/// Attempts count from one. Checkpoints under zero were trained without a coordinator, and are not its to delete.
pub(crate) const STANDALONE: Attempt = Attempt(0);

/// A file that belongs to no committed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Orphan {
    /// Path below the root of the storage.
    pub(crate) path: String,
    /// Its size, in bytes.
    pub(crate) bytes: u64,
}

/// A file in the folder of a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointFile {
    path: String,
    bytes: u64,
    modified: SystemTime,
    key: AttemptKey,
    step: u64,
}

/// What is in use, and so no orphan.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse {
    /// Committed checkpoints.
    pub(crate) committed: BTreeSet<(AttemptKey, u64)>,
    /// Attempts that are running, and may be writing.
    pub(crate) running: BTreeSet<AttemptKey>,
}

impl InUse {
    pub(crate) fn new(scheduler: &Scheduler, committed: impl IntoIterator<Item = (AttemptKey, u64)>) -> Self {
        let running = scheduler.ledger().nodes().filter_map(|(work, state)| match state {
            StageState::Running { attempt, .. } => Some(AttemptKey { stage: work.key(), attempt: *attempt }),
            _ => None,
        });
        Self { committed: committed.into_iter().collect(), running: running.collect() }
    }
}

/// Lists the files in the folders of checkpoints. Includes files whose process ended while writing them: a storage in a
/// directory has these under staging names, and does not list them itself.
///
/// Look up what is in use after this, not before, or a checkpoint that is committed meanwhile would pass for an orphan.
pub(crate) async fn list(
    storage: &dyn ObjectStore,
    directory: Option<&FilePath>,
) -> Result<Vec<CheckpointFile>, object_store::Error> {
    let prefix = Path::from(CHECKPOINTS);
    let objects: Vec<_> = storage.list(Some(&prefix)).try_collect().await?;
    let mut found: Vec<CheckpointFile> = objects
        .into_iter()
        .filter_map(|object| CheckpointFile::new(object.location.to_string(), object.size, object.last_modified.into()))
        .collect();
    if let Some(directory) = directory {
        let directory = directory.join(CHECKPOINTS);
        let staged = tokio::task::spawn_blocking(move || staged(&directory)).await.unwrap_or_default();
        found.extend(staged);
    }
    Ok(found)
}

/// The orphans among these files that are at least `min_age` old.
pub(crate) fn orphans(found: &[CheckpointFile], in_use: &InUse, min_age: Duration, now: SystemTime) -> Vec<Orphan> {
    let is_orphan = |file: &&CheckpointFile| {
        let CheckpointFile { key, step, .. } = **file;
        let is_staged = staging_suffix(&file.path).is_some();
        let is_committed = in_use.committed.contains(&(key, step)) && !is_staged;
        let is_old = now.duration_since(file.modified).is_ok_and(|age| age >= min_age);
        key.attempt != STANDALONE && !is_committed && !in_use.running.contains(&key) && is_old
    };
    let orphan = |file: &CheckpointFile| Orphan { path: file.path.clone(), bytes: file.bytes };
    let mut orphans: Vec<_> = found.iter().filter(is_orphan).map(orphan).collect();
    // Manifests first: without its manifest, the rest of a checkpoint means nothing to anybody.
    orphans.sort_by_key(|orphan| (!orphan.path.ends_with(proto::layout::MANIFEST), orphan.path.clone()));
    orphans
}

/// Deletes orphans.
pub(crate) async fn delete(
    storage: &dyn ObjectStore,
    directory: Option<&FilePath>,
    orphans: &[Orphan],
) -> Result<(), object_store::Error> {
    for Orphan { path, .. } in orphans {
        match (staging_suffix(path), directory) {
            (Some(_), Some(directory)) => {
                let removed = tokio::fs::remove_file(directory.join(path)).await;
                removed.map_err(|source| object_store::Error::Generic { store: "files", source: source.into() })?;
                // Folders go with their last file. One with anything in it stays.
                for folder in FilePath::new(path).ancestors().skip(1).take(2) {
                    let _ = tokio::fs::remove_dir(directory.join(folder)).await;
                }
            }
            _ => match storage.delete(&Path::from(path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(())
}

/// Removes the folders of checkpoints that are empty and at least `min_age` old. A worker may be about to write into a younger
/// one.
pub(crate) fn remove_empty_folders(directory: &FilePath, min_age: Duration, now: SystemTime) {
    let folders = |dir: &FilePath| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let is_old = |dir: &FilePath| {
        let modified = dir.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age >= min_age))
    };
    for stage in folders(&directory.join(CHECKPOINTS)) {
        // Removing a folder makes the one around it a young one.
        let was_old = is_old(&stage);
        for checkpoint in folders(&stage).iter().filter(|checkpoint| is_old(checkpoint)) {
            // One with anything in it stays.
            let _ = std::fs::remove_dir(checkpoint);
        }
        if was_old {
            let _ = std::fs::remove_dir(&stage);
        }
    }
}

impl CheckpointFile {
    /// A file of the layout of checkpoints: `checkpoints/STAGE/ATTEMPT-STEP/NAME`. `None` for any other path.
    fn new(path: String, bytes: u64, modified: SystemTime) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let [CHECKPOINTS, stage, folder, _name] = parts.as_slice() else { return None };
        let (attempt, step) = folder.split_once('-')?;
        let key = AttemptKey { stage: stage.parse().ok()?, attempt: Attempt(attempt.parse().ok()?) };
        let step = step.parse().ok()?;
        Some(Self { path, bytes, modified, key, step })
    }
}

/// The number after a `#` at the end of a path, which a file has while it is being written.
fn staging_suffix(path: &str) -> Option<&str> {
    let (_, suffix) = path.rsplit_once('#')?;
    (!suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit())).then_some(suffix)
}

fn staged(checkpoints: &FilePath) -> Vec<CheckpointFile> {
    let entries = |dir: &FilePath| std::fs::read_dir(dir).into_iter().flatten().flatten().collect::<Vec<_>>();
    let stages = entries(checkpoints);
    let folders = stages.iter().flat_map(|stage| entries(&stage.path()));
    let files = folders.flat_map(|folder| entries(&folder.path()));
    let staged = files.filter_map(|file| {
        let path = file.path();
        let below: Vec<_> = path.iter().rev().take(3).collect();
        let below: Vec<&str> = below.into_iter().rev().map(|part| part.to_str()).collect::<Option<_>>()?;
        let path = format!("{CHECKPOINTS}/{}", below.join("/"));
        let metadata = file.metadata().ok()?;
        staging_suffix(&path)?;
        CheckpointFile::new(path, metadata.len(), metadata.modified().ok()?)
    });
    staged.collect()
}
