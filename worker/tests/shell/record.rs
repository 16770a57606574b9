//! What a coordinator knows from the reports it heard, each number once.

use std::fs;
use std::path::Path;

use proto::manifest::{BlobEntry, CheckpointManifest};
use proto::v1::worker_message::Body as Up;
use proto::v1::{self, WorkerMessage};
use worker::AttemptKey;

use crate::support::attempt_of;

/// Reports with ascending numbers.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) reports: Vec<WorkerMessage>,
}

impl Record {
    /// Takes a report. One that was taken before has to be the same.
    #[track_caller]
    pub(crate) fn take(&mut self, message: WorkerMessage) {
        if message.sequence > self.position() {
            return self.reports.push(message);
        }
        let known = self.reports.iter().find(|known| known.sequence == message.sequence);
        assert_eq!(
            format!("{:?}", Some(&message)),
            format!("{known:?}"),
            "it is what was said under this number before"
        );
    }

    /// Everything up to this number is on record.
    pub(crate) fn position(&self) -> u64 {
        self.reports.last().map_or(0, |last| last.sequence)
    }

    fn of(&self, key: AttemptKey) -> impl Iterator<Item = &Up> {
        self.reports.iter().filter_map(|message| message.body.as_ref()).filter(move |body| attempt_of(body) == key)
    }

    /// The steps and losses of an attempt, as they came.
    pub(crate) fn curve(&self, key: AttemptKey) -> Vec<(u64, f64)> {
        let points = |body: &Up| match body {
            Up::CurvePoints(points) => points.points.clone(),
            _ => Vec::new(),
        };
        self.of(key).flat_map(points).map(|point| (point.step, point.loss)).collect()
    }

    /// The checkpoints of an attempt, as they came.
    pub(crate) fn checkpoints(&self, key: AttemptKey) -> Vec<v1::CheckpointRef> {
        let checkpoint = |body: &Up| match body {
            Up::CommitCheckpoint(commit) => Some(v1::CheckpointRef {
                stage: key.stage.to_string(),
                step: commit.step,
                manifest_path: commit.manifest_path.clone(),
                manifest_hash: commit.manifest_hash.clone(),
            }),
            _ => None,
        };
        self.of(key).filter_map(checkpoint).collect()
    }

    /// The kinds of the reports of an attempt, without repeats that follow each other.
    pub(crate) fn story(&self, key: AttemptKey) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.of(key).map(kind).collect();
        kinds.dedup();
        kinds
    }
}

pub(crate) fn kind(body: &Up) -> &'static str {
    match body {
        Up::CurvePoints(_) => "points",
        Up::CommitCheckpoint(_) => "checkpoint",
        Up::StageCompleted(_) => "completed",
        Up::StageDiverged(_) => "diverged",
        Up::AttemptFailed(_) => "failed",
        Up::AttemptReleased(_) => "released",
        Up::RevocationConfirmed(_) => "stopped",
        Up::StartUnusable(_) => "start unusable",
        Up::StorageFailed(_) => "storage failed",
        Up::Hello(_) | Up::Heartbeat(_) | Up::StorageProof(_) | Up::Goodbye(_) => "no report",
    }
}

/// Checks every hash of a checkpoint in the storage, and returns a file of it.
#[track_caller]
pub(crate) fn read_checkpoint(storage: &Path, checkpoint: &v1::CheckpointRef, name: &str) -> Vec<u8> {
    let path = storage.join(&checkpoint.manifest_path);
    let text = fs::read(&path).expect("the manifest is there");
    assert_eq!(blake3::hash(&text).to_string(), checkpoint.manifest_hash);
    let manifest = CheckpointManifest::from_json(&text).expect("it is a manifest");
    assert_eq!((manifest.stage.to_string(), manifest.step), (checkpoint.stage.clone(), checkpoint.step));
    let folder = path.parent().expect("it lies in a folder");
    for BlobEntry { name, bytes, blake3 } in &manifest.blobs {
        let content = fs::read(folder.join(name)).expect("the blob is there");
        assert_eq!((content.len() as u64, blake3::hash(&content).to_string()), (*bytes, blake3.clone()), "of {name}");
    }
    let files = fs::read_dir(folder).expect("it is a folder").count();
    assert_eq!(files, manifest.blobs.len() + 1, "there is nothing else");
    fs::read(folder.join(name)).expect("the checkpoint has this blob")
}
