//! Why a request is not answered. Each transport maps these to its own statuses in one place.

use recipes::{GrowthError, RecipeError};

use crate::auth::REVOKED;
use crate::driver::request_error::RequestError;
use crate::store::StoreError;
use crate::tasks::Panicked;
use crate::uploads::UploadError;

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Recipe(RecipeError),
    #[error(transparent)]
    Growth(GrowthError),
    #[error(
        "dataset {dataset} is not in the coordinator's storage at {storage}: prepare it there, for example by `windtunnel \
         data prepare` with the same data directory"
    )]
    NoDataset { dataset: String, storage: String },
    #[error(
        "dataset {dataset} in the coordinator's storage at {storage} is not whole: {file} is missing or damaged; delete the \
         dataset's folder there and submit again"
    )]
    PartialDataset { dataset: String, storage: String, file: String },
    #[error("the coordinator's storage cannot be read")]
    ReadStorage(#[source] object_store::Error),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("this coordinator only reads: start one with `windtunnel serve`")]
    ReadsOnly,
    #[error("files cannot be deleted")]
    DeleteFiles(#[source] object_store::Error),
    #[error(transparent)]
    Store(StoreError),
    /// On behalf of a reader. The coordinator continues.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error("{REVOKED}")]
    TokenRevoked,
    #[error("the curves are not being read: resume with `after_step`")]
    ReaderTooSlow,
}
