//! How far datasets are that clients send.

use proto::v1;

use crate::uploads::{Begun, FileProgress, Written};

/// An upload, or `None` where nothing has to be sent.
pub(crate) fn begun(begun: Option<Begun>) -> v1::BeginUploadResponse {
    let file = |FileProgress { name, bytes, received, is_stored }| v1::UploadedFile {
        name,
        bytes,
        received,
        stored: is_stored,
    };
    v1::BeginUploadResponse { whole: begun.is_none(), files: begun.into_iter().flatten().map(file).collect() }
}

/// What became of a piece; `None` where the upload is not known.
pub(crate) fn written(written: Option<Written>) -> v1::WriteUploadResponse {
    match written {
        Some(Written { received, is_stored, is_damaged }) => {
            v1::WriteUploadResponse { begun: true, received, stored: is_stored, damaged: is_damaged }
        }
        None => v1::WriteUploadResponse::default(),
    }
}
