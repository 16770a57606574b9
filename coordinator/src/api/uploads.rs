//! Datasets that clients send through the coordinator, and what of a dataset they are sent back.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use proto::layout::{MANIFEST, dataset_path};
use vocabulary::{ContentHash, DatasetId, DatasetManifest};

use super::{Api, ApiError};
use crate::datasets::{self, Presence};
use crate::uploads::{Begun, Piece, UploadError, Uploads, Written};

/// The longest manifest and the longest tokenizer that are read for a client, in bytes.
const LONGEST: u64 = 64 << 20;

impl Api {
    /// Begins to take a dataset. `None` if the storage has it.
    pub(crate) async fn begin_upload(&self, manifest: Vec<u8>) -> Result<Option<Begun>, ApiError> {
        let uploads = self.uploads()?;
        let (parsed, text) = self.beside(move || (DatasetManifest::from_json(&manifest), manifest)).await?;
        let manifest = parsed.map_err(UploadError::from)?;
        let present = datasets::look_for(self.storage.store().as_ref(), &manifest.dataset.id).await;
        if present.map_err(ApiError::ReadStorage)? == Presence::Whole {
            return Ok(None);
        }
        Ok(Some(uploads.begin(manifest, text).await?))
    }

    /// Takes a piece of a dataset. `None` if nobody began to send it.
    pub(crate) async fn write_upload(&self, dataset: DatasetId, piece: Piece) -> Result<Option<Written>, ApiError> {
        Ok(self.uploads()?.write(&dataset, piece).await?)
    }

    /// Makes what was sent a dataset. `None` if nobody began to send it.
    pub(crate) async fn complete_upload(&self, dataset: DatasetId) -> Result<Option<()>, ApiError> {
        Ok(self.uploads()?.complete(&dataset).await?)
    }

    fn uploads(&self) -> Result<&Uploads, ApiError> {
        self.uploads.as_deref().ok_or(ApiError::ReadsOnly)
    }

    /// The tokenizer of a dataset in the storage.
    pub(crate) async fn tokenizer(&self, dataset: DatasetId) -> Result<Vec<u8>, ApiError> {
        let damaged = |file: &str| ApiError::PartialDataset {
            dataset: dataset.to_string(),
            storage: self.storage_url.clone(),
            file: file.to_owned(),
        };
        let get = async |file: &str| {
            let path = Path::from(format!("{}/{file}", dataset_path(&dataset)));
            match self.storage.store().get(&path).await {
                Ok(found) if found.meta.size <= LONGEST => found.bytes().await.map(Some).map_err(ApiError::ReadStorage),
                Ok(_) => Err(damaged(file)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(ApiError::ReadStorage(error)),
            }
        };
        let absent = || ApiError::NoDataset { dataset: dataset.to_string(), storage: self.storage_url.clone() };
        let manifest = get(MANIFEST).await?.ok_or_else(absent)?;
        // One of an earlier version may have names that would not be taken today; only the hash counts here.
        let manifest: DatasetManifest = serde_json::from_slice(&manifest).map_err(|_| damaged(MANIFEST))?;
        let file = &manifest.tokenizer;
        let tokenizer = get(&file.name).await?.filter(|content| ContentHash::of(content) == file.blake3);
        Ok(tokenizer.ok_or_else(|| damaged(&file.name))?.to_vec())
    }
}
