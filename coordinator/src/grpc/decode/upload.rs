//! What clients send of datasets.

use proto::convert;
use proto::limits::{MAX_DATASET_MANIFEST_BYTES, MAX_PIECE_BYTES};
use proto::v1;
use vocabulary::DatasetId;
use vocabulary::dataset_manifest::MAX_FILE_NAME_BYTES;

use super::DecodeError;
use crate::api::limit::at_most;
use crate::uploads::Piece;

pub(crate) fn begin_upload(request: v1::BeginUploadRequest) -> Result<Vec<u8>, DecodeError> {
    at_most(MAX_DATASET_MANIFEST_BYTES, "manifest", request.manifest.len())?;
    Ok(request.manifest)
}

pub(crate) fn write_upload(request: v1::WriteUploadRequest) -> Result<(DatasetId, Piece), DecodeError> {
    let v1::WriteUploadRequest { dataset, file, offset, content, blake3 } = request;
    at_most(MAX_FILE_NAME_BYTES, "file", file.len())?;
    at_most(MAX_PIECE_BYTES, "content", content.len())?;
    let hash = blake3.parse().map_err(|_| DecodeError::PieceHash)?;
    Ok((self::dataset(&dataset)?, Piece { file, offset, content, hash }))
}

/// A dataset that has to be named.
pub(crate) fn dataset(text: &str) -> Result<DatasetId, DecodeError> {
    Ok(convert::id("dataset", text)?)
}
