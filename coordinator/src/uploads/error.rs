//! Why a dataset that is sent is not taken.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use vocabulary::units::human_bytes;
use vocabulary::{DatasetId, DatasetManifestError};

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Manifest(#[from] DatasetManifestError),
    #[error(
        "{dataset} has {}, and the coordinator takes at most {} in unfinished uploads: copy it into the storage, or start \
         the coordinator with a larger --upload-limit", human_bytes(*bytes), human_bytes(*limit)
    )]
    TooLarge { dataset: DatasetId, bytes: u64, limit: u64 },
    /// Passes once others are done or abandoned.
    #[error("{others} other datasets ({}) are being sent, and there is no room for another: try again later", human_bytes(*bytes))]
    NoRoom { others: usize, bytes: u64 },
    #[error("{dataset} has no file {file:?}")]
    UnknownFile { dataset: DatasetId, file: String },
    #[error("the piece of {file} ends after {end} bytes, and the file has {bytes}")]
    TooLong { file: String, end: u64, bytes: u64 },
    #[error("{file} of {dataset} has not arrived as a whole")]
    Unfinished { dataset: DatasetId, file: String },
    /// The folder of the upload.
    #[error("{}", staging_failed(source.kind()))]
    Staging {
        #[source]
        source: io::Error,
    },
    #[error("the coordinator's storage cannot be written")]
    Storage(#[source] object_store::Error),
    /// Several clients wait for the same file.
    #[error(transparent)]
    Shared(#[from] Arc<UploadError>),
    /// The task that did it did not end.
    #[error("the upload was interrupted")]
    Interrupted,
}

impl UploadError {
    /// Whether the same request may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::NoRoom { .. } | Self::Staging { .. } | Self::Storage(_) | Self::Interrupted => true,
            Self::Shared(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<io::Error> for UploadError {
    fn from(source: io::Error) -> Self {
        Self::Staging { source }
    }
}

fn staging_failed(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk of the coordinator's data directory is full: make room on it"
        }
        _ => "what is sent cannot be kept in the coordinator's data directory",
    }
}
