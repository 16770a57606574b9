//! The service for pools. A handler decodes, forwards, and encodes.

use proto::v1::pool_service_server::PoolService;
use proto::v1::{self, PoolChange};
use tonic::{Request, Response, Status};
use vocabulary::text::one_line;

use super::encode;
use super::pool_settings;
use crate::pools::batch::{AllocationView, BatchError, BatchPoolView, BatchPools, Change, Settings};

/// The service that adds, shows and changes pools.
pub(crate) struct PoolHandlers {
    pub(crate) pools: BatchPools,
}

#[tonic::async_trait]
impl PoolService for PoolHandlers {
    async fn add_pool(&self, request: Request<v1::AddPoolRequest>) -> Result<Response<v1::AddPoolResponse>, Status> {
        let v1::AddPoolRequest { name, slurm, kubernetes } = request.into_inner();
        let settings = match (slurm, kubernetes) {
            (Some(slurm), None) => Settings::Slurm(pool_settings::of_slurm(slurm)),
            (None, Some(kubernetes)) => Settings::Kubernetes(pool_settings::of_kubernetes(kubernetes)),
            (None, None) => return Err(Status::invalid_argument("the request describes no pool")),
            (Some(_), Some(_)) => return Err(Status::invalid_argument("the request describes two pools")),
        };
        let added = self.pools.add(name, settings).await?;
        let pool = Some(pool(added.view));
        Ok(Response::new(v1::AddPoolResponse { pool, said: added.said, script: added.script }))
    }

    async fn list_pools(&self, _: Request<v1::ListPoolsRequest>) -> Result<Response<v1::ListPoolsResponse>, Status> {
        let pools = self.pools.list().into_iter().map(pool).collect();
        Ok(Response::new(v1::ListPoolsResponse { pools }))
    }

    async fn change_pool(&self, request: Request<v1::ChangePoolRequest>) -> Result<Response<v1::Pool>, Status> {
        let v1::ChangePoolRequest { name, change } = request.into_inner();
        let change = match PoolChange::try_from(change) {
            Ok(PoolChange::Pause) => Change::Pause,
            Ok(PoolChange::Resume) => Change::Resume,
            Ok(PoolChange::Drain) => Change::Drain,
            Ok(PoolChange::Remove) => Change::Remove,
            Ok(PoolChange::Unspecified) | Err(_) => {
                return Err(Status::invalid_argument("the request asks for a change that this version does not know"));
            }
        };
        Ok(Response::new(pool(self.pools.change(name, change).await?)))
    }
}

impl From<BatchError> for Status {
    fn from(error: BatchError) -> Self {
        let message = one_line(&error);
        match error {
            BatchError::Unknown { .. } => Self::not_found(message),
            BatchError::Taken { .. } => Self::already_exists(message),
            BatchError::Invalid(_) | BatchError::Refused { .. } => Self::invalid_argument(message),
            BatchError::NotServing | BatchError::NoProgram { .. } | BatchError::Folder { .. } => {
                Self::failed_precondition(message)
            }
            BatchError::Unanswered { .. } | BatchError::TookTooLong { .. } | BatchError::Stopping => {
                Self::unavailable(message)
            }
            BatchError::Store(error) if error.is_retryable() => Self::unavailable(message),
            BatchError::Store(_) => Self::internal(message),
        }
    }
}

fn pool(view: BatchPoolView) -> v1::Pool {
    let BatchPoolView { name, mode, reason, settings, folder, ready, idle, allocations, avoided } = view;
    let (slurm, kubernetes) = match settings {
        Settings::Slurm(settings) => (Some(pool_settings::slurm(settings)), None),
        Settings::Kubernetes(settings) => (None, Some(pool_settings::kubernetes(settings))),
    };
    v1::Pool {
        name,
        mode,
        reason,
        slurm,
        kubernetes,
        folder,
        ready: u64::from(encode::count(ready)),
        idle,
        allocations: allocations.into_iter().map(allocation).collect(),
        avoided: avoided.into_iter().map(|(node, seconds)| v1::AvoidedNode { node, seconds }).collect(),
    }
}

fn allocation(view: AllocationView) -> v1::Allocation {
    let AllocationView { allocation, job, state, reason, node, age_seconds, left_seconds, workers } = view;
    let worker = |(name, is_busy)| v1::AllocationWorker { name, is_busy };
    let workers = workers.into_iter().map(worker).collect();
    v1::Allocation { allocation, job, state: state.to_owned(), reason, node, age_seconds, left_seconds, workers }
}
