//! Datasets that clients send through the coordinator's port, because they cannot write to the storage.
//!
//! ```text
//! BeginUpload   manifest --> DATA_DIR/uploads/DATASET/manifest.json
//! WriteUpload   piece    --> ..../FILE.part, which is checked against the manifest and moved to the storage once it is whole
//! CompleteUpload             the manifest is written to the storage, and the folder of the upload goes
//! ```
//!
//! [`Uploads`] holds all of them, [`Upload`] is one, and [`Staging`] its folder. What is in the folder is all that an upload
//! is: after a restart it continues from there. A file in the storage counts for nothing until the dataset's manifest is
//! there, which is the last to be written. Several clients may send the same dataset: each is told what comes next.
//!
//! A few pieces of a file are on their way at the same time, in any order ([`Early`]), so a long line is used. More come only
//! after the answers to those before them, so a client is never faster than the disk.

mod early;
mod error;
mod registry;
mod staging;
mod upload;

pub(crate) use error::UploadError;
pub(crate) use registry::{Begun, Uploads};
pub(crate) use upload::{FileProgress, Piece, Written};

use early::Early;
use staging::Staging;
use upload::Upload;

/// The folder of unfinished uploads, in the data directory.
const FOLDER: &str = "uploads";

/// Limits on what clients can make a coordinator hold in unfinished uploads, whoever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Datasets that are being sent at a time.
    pub at_once: usize,
    /// Bytes of all of them together, as their manifests say.
    pub bytes: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { at_once: 8, bytes: 200_000_000_000 }
    }
}
