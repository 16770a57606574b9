//! Checkpoints on their way to the storage and back.
//!
//! A checkpoint is a few blobs and a manifest with the BLAKE3 hash of each. Blobs are written first, the manifest last,
//! and only a checkpoint that the coordinator committed afterwards exists: everything else in the storage is litter that
//! nobody looks at. A download checks every byte against the manifest, and the manifest against the hash that was
//! committed.

mod cache;
mod transfer;

use std::sync::Arc;

use trainer::Blob;
use vocabulary::StageKey;

pub use cache::Cache;
pub(crate) use transfer::off_thread;
pub use transfer::{DownloadError, UploadError, download, find, upload};

/// A checkpoint that was, or is to be, committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRef {
    /// Of which stage.
    pub stage: StageKey,
    /// Steps done, counted from the root.
    pub step: u64,
    /// Where the manifest lies, below the root of the storage.
    pub manifest_path: String,
    /// BLAKE3 of the manifest.
    pub manifest_hash: blake3::Hash,
}

impl From<CheckpointRef> for proto::v1::CheckpointRef {
    fn from(checkpoint: CheckpointRef) -> Self {
        let CheckpointRef { stage, step, manifest_path, manifest_hash } = checkpoint;
        Self { stage: stage.to_string(), step, manifest_path, manifest_hash: manifest_hash.to_string() }
    }
}

/// The content of a checkpoint, shared rather than copied.
pub type Blobs = Arc<Vec<Blob>>;
