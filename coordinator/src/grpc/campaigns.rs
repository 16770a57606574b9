//! The service for people and their tools.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use proto::layout;
use proto::limits::{MAX_CURVE_POINTS, MAX_LISTED, MAX_NAME_BYTES, MAX_RECIPE_BYTES};
use proto::v1::campaign_service_server::CampaignService;
use proto::v1::{self, CampaignUpdate, StageCurve};
use recipes::Recipe;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use vocabulary::{CampaignId, Dataset, Plan, StageKey};

use super::limit::at_most;
use super::status::{self, SubmitError};
use super::{branch, checkpoints, encode, watch};
use crate::auth::{Caller, Guard, REVOKED};
use crate::driver::DriverHandle;
use crate::driver::input::{Extension, RequestError, Submission};
use crate::driver::view::View;
use crate::store::{CommittedCheckpoint, Store};

/// Messages that may wait for a reader of a stream.
const WAITING: usize = 8;
/// How long a stream waits for its reader.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service that people's tools dial.
pub(crate) struct CampaignApi {
    pub(crate) driver: DriverHandle,
    pub(crate) guard: Arc<Guard>,
    pub(crate) store: Store,
    pub(crate) storage: Arc<dyn ObjectStore>,
    pub(crate) storage_url: String,
    /// The storage as a directory.
    pub(crate) data_dir: std::path::PathBuf,
    pub(crate) stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CampaignService for CampaignApi {
    type WatchCampaignStream = ReceiverStream<Result<CampaignUpdate, Status>>;
    type GetCurvesStream = ReceiverStream<Result<StageCurve, Status>>;

    async fn get_info(&self, _: Request<v1::GetInfoRequest>) -> Answer<v1::Info> {
        Ok(Response::new(v1::Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage: self.storage_url.clone(),
            process_id: std::process::id(),
        }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Answer<v1::SubmitResponse> {
        let submission = self.read_submission(request.into_inner()).await.map_err(status::from_submit)?;
        let submitted = self.driver.submit(submission).await.map_err(status::from_request)?;
        Ok(Response::new(v1::SubmitResponse {
            campaign: submitted.campaign.to_string(),
            stages: encode::count(submitted.stages),
            stages_done: encode::count(submitted.stages_done),
        }))
    }

    async fn extend_campaign(&self, request: Request<v1::ExtendCampaignRequest>) -> Answer<v1::ExtendCampaignResponse> {
        let v1::ExtendCampaignRequest { campaign, recipe_file, recipe_text } = request.into_inner();
        let plan = self.look_at(campaign, |view, campaign| view.scheduler.plan(campaign).cloned()).await?;
        let extension = read_extension(&plan, recipe_file, recipe_text).map_err(status::from_submit)?;
        let extended = self.driver.extend(extension).await.map_err(status::from_request)?;
        Ok(Response::new(v1::ExtendCampaignResponse {
            campaign: extended.as_it_is.campaign.to_string(),
            stages: encode::count(extended.as_it_is.stages),
            stages_done: encode::count(extended.as_it_is.stages_done),
            trials_added: encode::count(extended.trials_added),
        }))
    }

    async fn branch_campaign(&self, request: Request<v1::BranchCampaignRequest>) -> Answer<v1::BranchCampaignResponse> {
        branch::branch(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_campaigns(&self, _: Request<v1::ListCampaignsRequest>) -> Answer<v1::ListCampaignsResponse> {
        let look = |view: &View<'_>| view.campaigns().iter().map(encode::campaign).collect();
        let campaigns = self.driver.look(look).await.map_err(status::from_request)?;
        Ok(Response::new(v1::ListCampaignsResponse { campaigns }))
    }

    async fn get_campaign(&self, request: Request<v1::GetCampaignRequest>) -> Answer<v1::CampaignDetail> {
        let look = |view: &View<'_>, campaign: &CampaignId| {
            view.campaign(campaign).map(|shown| (*campaign, encode::detail(view, &shown)))
        };
        let (campaign, mut detail) = self.look_at(request.into_inner().campaign, look).await?;
        let recipe = self.store.recipe(campaign).await.map_err(|error| status::from_store(&error))?;
        if let Some((file, text)) = recipe {
            (detail.recipe_file, detail.recipe_text) = (file, text);
        }
        Ok(Response::new(detail))
    }

    async fn watch_campaign(&self, request: Request<v1::WatchCampaignRequest>) -> Answer<Self::WatchCampaignStream> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Status::internal("the request carries no authenticated caller"))?;
        let campaign = self.find(request.into_inner().campaign).await?;
        let (updates, stream) = mpsc::channel(WAITING);
        let (guard, last) = (Arc::clone(&self.guard), updates.clone());
        let watched = watch::watch(self.driver.clone(), campaign, updates, self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = watched => {}
                // If there is no room to say so, the end of the stream says enough.
                () = guard.until_revoked(&caller) => drop(last.try_send(Err(Status::unauthenticated(REVOKED)))),
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_curves(&self, request: Request<v1::GetCurvesRequest>) -> Answer<Self::GetCurvesStream> {
        let v1::GetCurvesRequest { campaign, stages: selectors, after_step } = request.into_inner();
        at_most(MAX_LISTED, "stages", selectors.len()).map_err(|error| status::from_too_long(&error))?;
        let campaign = self.find(campaign).await?;
        let find = move |view: &View<'_>| view.find_stages(&campaign, &selectors);
        let stages = self.driver.look(find).await.and_then(|stages| stages).map_err(status::from_request)?;
        let (curves, stream) = mpsc::channel(WAITING);
        let from = after_step.map_or(0, |step| step.saturating_add(1));
        tokio::spawn(send_curves(self.store.clone(), stages, from, curves));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_results(&self, request: Request<v1::GetResultsRequest>) -> Answer<v1::GetResultsResponse> {
        let look =
            |view: &View<'_>, campaign: &CampaignId| view.campaign(campaign).map(|shown| encode::results(view, &shown));
        let results = self.look_at(request.into_inner().campaign, look).await?;
        Ok(Response::new(v1::GetResultsResponse { results }))
    }

    async fn cancel_campaign(&self, request: Request<v1::CancelCampaignRequest>) -> Answer<v1::CancelCampaignResponse> {
        let selector = bounded(request.into_inner().campaign)?;
        let campaign = self.driver.cancel(selector).await.map_err(status::from_request)?;
        Ok(Response::new(v1::CancelCampaignResponse { campaign: campaign.to_string() }))
    }

    async fn retry_campaign(&self, request: Request<v1::RetryCampaignRequest>) -> Answer<v1::RetryCampaignResponse> {
        let selector = bounded(request.into_inner().campaign)?;
        let campaign = self.driver.retry(selector).await.map_err(status::from_request)?;
        Ok(Response::new(v1::RetryCampaignResponse { campaign: campaign.to_string() }))
    }

    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Answer<v1::ListWorkersResponse> {
        let look = |view: &View<'_>| view.workers().iter().map(encode::worker).collect();
        let workers = self.driver.look(look).await.map_err(status::from_request)?;
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn get_checkpoint(&self, request: Request<v1::GetCheckpointRequest>) -> Answer<v1::CheckpointRef> {
        let v1::GetCheckpointRequest { stage, step } = request.into_inner();
        let found = self.find_checkpoint(stage, step).await?;
        Ok(Response::new(encode::checkpoint(&found)))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Answer<v1::ListCheckpointsResponse> {
        checkpoints::list(self, request.into_inner()).await.map(Response::new)
    }

    async fn collect_checkpoints(
        &self,
        request: Request<v1::CollectCheckpointsRequest>,
    ) -> Answer<v1::CollectCheckpointsResponse> {
        checkpoints::collect(self, request.into_inner()).await.map(Response::new)
    }
}

impl CampaignApi {
    async fn find_checkpoint(&self, selector: String, step: Option<u64>) -> Result<CommittedCheckpoint, Status> {
        at_most(MAX_NAME_BYTES, "stage", selector.len()).map_err(|error| status::from_too_long(&error))?;
        let find = move |view: &View<'_>| view.find_stage(&selector);
        let stage = self.driver.look(find).await.and_then(|found| found).map_err(status::from_request)?;
        let found = match step {
            Some(step) => self.store.checkpoint(stage, step).await,
            None => self.store.last_checkpoint(stage).await,
        };
        let found = found.map_err(|error| status::from_store(&error))?;
        found.ok_or_else(|| status::from_request(RequestError::NoCheckpoint { stage, step }))
    }

    async fn read_submission(&self, request: v1::SubmitRequest) -> Result<Submission, SubmitError> {
        let v1::SubmitRequest { recipe_file, recipe_text, dataset } = request;
        let recipe_file = proto::convert::name("recipe_file", recipe_file).map_err(SubmitError::Field)?;
        at_most(MAX_RECIPE_BYTES, "recipe_text", recipe_text.len())?;
        let dataset: Dataset = proto::convert::required("dataset", dataset).map_err(SubmitError::Field)?;
        let plan = expand(&recipe_file, &recipe_text, &dataset).map_err(SubmitError::Recipe)?;
        self.check_dataset(&dataset).await?;
        Ok(Submission { plan, recipe_file, recipe_text })
    }

    /// Whether the data lies where workers will look for it.
    pub(super) async fn check_dataset(&self, dataset: &Dataset) -> Result<(), SubmitError> {
        let folder = Path::from(layout::dataset_path(&dataset.id));
        match self.storage.list(Some(&folder)).next().await {
            Some(Ok(_)) => Ok(()),
            None | Some(Err(object_store::Error::NotFound { .. })) => {
                Err(SubmitError::NoDataset { dataset: dataset.id.to_string(), storage: self.storage_url.clone() })
            }
            Some(Err(error)) => Err(SubmitError::Storage(error)),
        }
    }

    async fn find(&self, selector: String) -> Result<CampaignId, Status> {
        let selector = bounded(selector)?;
        let find = move |view: &View<'_>| view.find(&selector);
        self.driver.look(find).await.and_then(|found| found).map_err(status::from_request)
    }

    /// Looks at the campaign that a selector means.
    async fn look_at<T: Send + 'static>(
        &self,
        selector: String,
        look: impl FnOnce(&View<'_>, &CampaignId) -> Option<T> + Send + 'static,
    ) -> Result<T, Status> {
        let selector = bounded(selector)?;
        let find = move |view: &View<'_>| {
            let campaign = view.find(&selector)?;
            look(view, &campaign).ok_or(RequestError::UnknownCampaign { selector })
        };
        self.driver.look(find).await.and_then(|found| found).map_err(status::from_request)
    }
}

fn expand(file: &str, text: &str, dataset: &Dataset) -> Result<Plan, recipes::RecipeError> {
    recipes::expand(&Recipe::parse(file, text)?, dataset)
}

fn read_extension(plan: &Plan, recipe_file: String, recipe_text: String) -> Result<Extension, SubmitError> {
    let recipe_file = proto::convert::name("recipe_file", recipe_file).map_err(SubmitError::Field)?;
    at_most(MAX_RECIPE_BYTES, "recipe_text", recipe_text.len())?;
    let recipe = Recipe::parse(&recipe_file, &recipe_text).map_err(SubmitError::Recipe)?;
    let growth = recipes::growth(plan, &recipe).map_err(SubmitError::Growth)?;
    Ok(Extension { growth, recipe_file, recipe_text })
}

pub(super) fn bounded(selector: String) -> Result<String, Status> {
    at_most(MAX_NAME_BYTES, "campaign", selector.len()).map_err(|error| status::from_too_long(&error))?;
    Ok(selector)
}

/// Sends the curves of stages from a step on, each in runs of a bounded size, until all are sent or nobody listens. One run
/// is read at a time, so however slowly somebody reads, little waits here; who does not read at all is cut off, and can go
/// on behind the last point received.
async fn send_curves(store: Store, stages: Vec<StageKey>, from: u64, curves: mpsc::Sender<Result<StageCurve, Status>>) {
    for stage in stages {
        let mut next = Some(from);
        while let Some(from) = next {
            let points = match store.curve(stage, from, MAX_CURVE_POINTS).await {
                Ok(points) => points,
                Err(error) => {
                    let _ = curves.send(Err(status::from_store(&error))).await;
                    return;
                }
            };
            let is_whole = points.len() < MAX_CURVE_POINTS;
            next = points.last().filter(|_| !is_whole).and_then(|last| last.step.checked_add(1));
            if points.is_empty() {
                break;
            }
            let points = points.iter().map(encode::curve_point).collect();
            let run = Ok(StageCurve { stage: stage.to_string(), points });
            match curves.send_timeout(run, PATIENCE).await {
                Ok(()) => {}
                Err(SendTimeoutError::Closed(_)) => return,
                Err(SendTimeoutError::Timeout(_)) => {
                    let too_slow = Status::deadline_exceeded("the curves are not read: go on with `after_step`");
                    // It waits behind the runs that are not read, for as long again.
                    let _ = curves.send_timeout(Err(too_slow), PATIENCE).await;
                    return;
                }
            }
        }
    }
}
