//! The one place where errors become gRPC statuses. Messages are one line, for people.

use scheduler::BranchRefusal;
use tonic::Status;
use vocabulary::text::one_line;

use super::decode::DecodeError;
use super::session::NotOpened;
use crate::api::ApiError;
use crate::driver::request_error::RequestError;
use crate::driver::to_worker::SessionEnd;
use crate::store::StoreError;
use crate::uploads::UploadError;

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let message = one_line(&error);
        match error {
            ApiError::Request(error) => of_request(&error, message),
            ApiError::Recipe(_) | ApiError::Growth(_) => Self::invalid_argument(message),
            ApiError::NoDataset { .. } | ApiError::PartialDataset { .. } => Self::failed_precondition(message),
            ApiError::ReadStorage(_) | ApiError::DeleteFiles(_) => Self::unavailable(message),
            ApiError::Upload(error) if error.is_retryable() => Self::unavailable(message),
            ApiError::Upload(UploadError::Manifest(_)) => Self::invalid_argument(message),
            ApiError::Upload(_) | ApiError::ReadsOnly => Self::failed_precondition(message),
            ApiError::Store(error) => of_store(&error, message),
            ApiError::Panicked(_) => Self::internal(message),
            ApiError::TokenRevoked => Self::unauthenticated(message),
            ApiError::ReaderTooSlow => Self::deadline_exceeded(message),
        }
    }
}

fn of_request(error: &RequestError, message: String) -> Status {
    match error {
        RequestError::UnknownCampaign { .. }
        | RequestError::UnknownStage { .. }
        | RequestError::NoStage { .. }
        | RequestError::NoCheckpoint { .. }
        | RequestError::Branch(BranchRefusal::UnknownStage { .. } | BranchRefusal::NoCheckpoint { .. }) => {
            Status::not_found(message)
        }
        RequestError::AmbiguousCampaign { .. }
        | RequestError::SeveralCampaigns { .. }
        | RequestError::AmbiguousStage { .. }
        | RequestError::SeveralStages { .. }
        | RequestError::Branch(BranchRefusal::NotAtEnd { .. } | BranchRefusal::Terms(_))
        | RequestError::Evaluate(_)
        | RequestError::PlanRejected { .. } => Status::invalid_argument(message),
        RequestError::Forget { .. }
        | RequestError::NothingToRetry { .. }
        | RequestError::Branch(
            BranchRefusal::NameTaken { .. } | BranchRefusal::NotTrained { .. } | BranchRefusal::UnknownText { .. },
        ) => Status::failed_precondition(message),
        RequestError::Stopping | RequestError::Stalled { .. } => Status::unavailable(message),
        RequestError::Panicked(_) => Status::internal(message),
    }
}

fn of_store(error: &StoreError, message: String) -> Status {
    if error.is_retryable() { Status::unavailable(message) } else { Status::internal(message) }
}

impl From<DecodeError> for Status {
    fn from(error: DecodeError) -> Self {
        Self::invalid_argument(one_line(&error))
    }
}

impl From<SessionEnd> for Status {
    fn from(end: SessionEnd) -> Self {
        let message = end.to_string();
        match end {
            SessionEnd::OtherToken | SessionEnd::OtherProcess => Self::permission_denied(message),
            SessionEnd::TokenRevoked => Self::unauthenticated(message),
            SessionEnd::Malformed { .. } => Self::invalid_argument(message),
        }
    }
}

impl From<NotOpened> for Status {
    fn from(error: NotOpened) -> Self {
        let message = error.to_string();
        match error {
            NotOpened::NoCaller => Self::internal(message),
            NotOpened::TooMany => Self::resource_exhausted(message),
            NotOpened::NoHello => Self::deadline_exceeded(message),
            NotOpened::Ended => Self::cancelled(message),
            NotOpened::Stopping => Self::unavailable(message),
        }
    }
}
