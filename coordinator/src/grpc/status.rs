//! The one place where errors become gRPC statuses. Messages are one line, for people.

use proto::ConvertError;
use recipes::{GrowthError, RecipeError};
use tonic::Status;

use super::decode::DecodeError;
use super::limit::TooLong;
use crate::driver::input::RequestError;
use crate::driver::to_worker::SessionEnd;
use crate::people::chain;
use crate::store::StoreError;

/// Why a submission is refused before the driver hears of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Field(ConvertError),
    #[error(transparent)]
    Recipe(RecipeError),
    #[error(transparent)]
    Growth(GrowthError),
    #[error(
        "dataset {dataset} is not in the coordinator's storage at {storage}: prepare it there, for example by `windtunnel \
         data prepare` with the same data directory"
    )]
    NoDataset { dataset: String, storage: String },
    #[error("the coordinator's storage cannot be read")]
    Storage(#[source] object_store::Error),
}

pub(crate) fn from_request(error: RequestError) -> Status {
    let message = error.to_string();
    match error {
        RequestError::UnknownCampaign { .. }
        | RequestError::UnknownStage { .. }
        | RequestError::NoStage { .. }
        | RequestError::NoCheckpoint { .. } => Status::not_found(message),
        RequestError::AmbiguousCampaign { .. }
        | RequestError::AmbiguousStage { .. }
        | RequestError::SeveralStages { .. }
        | RequestError::NotAtEnd { .. }
        | RequestError::Branch(_)
        | RequestError::PlanRejected { .. } => Status::invalid_argument(message),
        RequestError::NameTaken { .. } | RequestError::NotTrained { .. } | RequestError::NoDatasetOf { .. } => {
            Status::failed_precondition(message)
        }
        RequestError::Stopping => Status::unavailable(message),
    }
}

pub(crate) fn from_submit(error: SubmitError) -> Status {
    let message = chain(&error);
    match error {
        SubmitError::TooLong(_) | SubmitError::Field(_) | SubmitError::Recipe(_) | SubmitError::Growth(_) => {
            Status::invalid_argument(message)
        }
        SubmitError::NoDataset { .. } => Status::failed_precondition(message),
        SubmitError::Storage(_) => Status::unavailable(message),
    }
}

pub(crate) fn from_session_end(end: &SessionEnd) -> Status {
    let message = end.to_string();
    match end {
        SessionEnd::OtherToken => Status::permission_denied(message),
        SessionEnd::TokenRevoked => Status::unauthenticated(message),
        SessionEnd::Malformed { .. } => Status::invalid_argument(message),
    }
}

pub(crate) fn from_decode(error: &DecodeError) -> Status {
    Status::invalid_argument(chain(error))
}

pub(crate) fn from_too_long(error: &TooLong) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(crate) fn from_store(error: &StoreError) -> Status {
    if error.is_retryable() { Status::unavailable(chain(error)) } else { Status::internal(chain(error)) }
}
