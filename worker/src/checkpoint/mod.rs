//! Moves checkpoints to the storage and back.
//!
//! A checkpoint is a few blobs and a manifest with the BLAKE3 hash of each. Blobs are written first and the manifest
//! last, and only a checkpoint that the coordinator has committed exists: everything else in the storage is ignored
//! litter. A download checks every byte against the manifest, and the manifest against the committed hash.

mod cache;
mod through_cache;
mod transfer;

use std::sync::Arc;

use trainer::Blob;
use vocabulary::StageKey;

pub use cache::Cache;
pub(crate) use through_cache::download_through;
pub use transfer::{DownloadError, UploadError, download, find, upload};
pub(crate) use transfer::{Taken, off_thread, upload_missing};

/// A checkpoint that has been, or will be, committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRef {
    pub stage: StageKey,
    /// Steps done, counted from the root.
    pub step: u64,
    /// Path of the manifest below the storage's root.
    pub manifest_path: String,
    /// BLAKE3 hash of the manifest.
    pub manifest_hash: blake3::Hash,
}

/// The content of a checkpoint, shared instead of copied.
pub type Blobs = Arc<Vec<Blob>>;
