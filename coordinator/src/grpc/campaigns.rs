//! The service for people and their tools. A handler decodes, forwards to `api`, and encodes.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::Map;
use proto::convert::sent_plan;
use proto::v1::campaign_service_server::CampaignService;
use proto::v1::{self, CampaignUpdate, StageCurve};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::session::NotOpened;
use super::{decode, encode};
use crate::api::requests::Selector;
use crate::api::{Api, ApiError, CurveRun, views};
use crate::auth::{Caller, Guard};
use crate::tasks::caught;

/// Messages that may wait for the reader of a stream.
const WAITING: usize = 8;

/// The service that people's tools dial.
pub(crate) struct CampaignHandlers {
    pub(crate) api: Api,
    pub(crate) guard: Arc<Guard>,
}

type Answer<T> = Result<Response<T>, Status>;

/// A stream of `api`, on its way to the wire.
type Encoded<T, W> = Map<ReceiverStream<Result<T, ApiError>>, fn(Result<T, ApiError>) -> Result<W, Status>>;

#[tonic::async_trait]
impl CampaignService for CampaignHandlers {
    type WatchCampaignStream = Encoded<views::CampaignUpdate, CampaignUpdate>;
    type GetCurvesStream = Encoded<CurveRun, StageCurve>;

    async fn get_info(&self, _: Request<v1::GetInfoRequest>) -> Answer<v1::Info> {
        Ok(Response::new(v1::Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage: self.api.storage_url.clone(),
            process_id: std::process::id(),
            protocol: proto::PROTOCOL,
            troubles: self.api.troubles().await?,
        }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Answer<v1::SubmitResponse> {
        let submitted = self.api.submit(decode::submit(request.into_inner())?).await?;
        Ok(Response::new(v1::SubmitResponse {
            campaign: submitted.campaign.to_string(),
            stages: encode::count(submitted.stages),
            stages_done: encode::count(submitted.stages_done),
        }))
    }

    async fn extend_campaign(&self, request: Request<v1::ExtendCampaignRequest>) -> Answer<v1::ExtendCampaignResponse> {
        let extended = self.api.extend(decode::extend(request.into_inner())?).await?;
        Ok(Response::new(v1::ExtendCampaignResponse {
            campaign: extended.campaign.campaign.to_string(),
            stages: encode::count(extended.campaign.stages),
            stages_done: encode::count(extended.campaign.stages_done),
            trials_added: encode::count(extended.trials_added),
        }))
    }

    async fn branch_campaign(&self, request: Request<v1::BranchCampaignRequest>) -> Answer<v1::BranchCampaignResponse> {
        let branch = self.api.branch(decode::branch(request.into_inner())?).await?;
        let stages_done = encode::count(branch.stages_done);
        Ok(Response::new(v1::BranchCampaignResponse { plan_json: sent_plan(&branch.plan), stages_done }))
    }

    async fn evaluate_campaign(
        &self,
        request: Request<v1::EvaluateCampaignRequest>,
    ) -> Answer<v1::EvaluateCampaignResponse> {
        let evaluated = self.api.evaluate(decode::evaluate(request.into_inner())?).await?;
        Ok(Response::new(encode::evaluated(evaluated)))
    }

    async fn list_campaigns(&self, _: Request<v1::ListCampaignsRequest>) -> Answer<v1::ListCampaignsResponse> {
        let campaigns = self.api.campaigns().await?.iter().map(encode::summary).collect();
        Ok(Response::new(v1::ListCampaignsResponse { campaigns }))
    }

    async fn get_campaign(&self, request: Request<v1::GetCampaignRequest>) -> Answer<v1::CampaignDetail> {
        let detail = self.api.campaign(decode::selector(request.into_inner().campaign)?).await?;
        Ok(Response::new(self.api.beside(move || encode::detail(detail)).await?))
    }

    async fn watch_campaign(&self, request: Request<v1::WatchCampaignRequest>) -> Answer<Self::WatchCampaignStream> {
        let caller = request.extensions().get::<Caller>().cloned().ok_or(NotOpened::NoCaller)?;
        let campaign = self.api.find(decode::selector(request.into_inner().campaign)?).await?;
        let (updates, stream) = mpsc::channel(WAITING);
        let (guard, last) = (Arc::clone(&self.guard), updates.clone());
        let watched = self.api.clone().watch(campaign, updates);
        tokio::spawn(async move {
            tokio::select! {
                watched = caught("a watch", watched) => {
                    if let Err(panicked) = watched {
                        let _ = last.send(Err(panicked.into())).await;
                    }
                }
                // If there is no room to say so, the end of the stream says enough.
                () = guard.until_revoked(&caller) => drop(last.try_send(Err(ApiError::TokenRevoked))),
            }
        });
        let sent: fn(_) -> _ = |update: Result<_, ApiError>| Ok(encode::update(update?));
        Ok(Response::new(ReceiverStream::new(stream).map(sent)))
    }

    async fn get_curves(&self, request: Request<v1::GetCurvesRequest>) -> Answer<Self::GetCurvesStream> {
        let (runs, stream) = mpsc::channel(WAITING);
        self.api.curves(decode::curves(request.into_inner())?, runs).await?;
        let sent: fn(_) -> _ = |run: Result<_, ApiError>| Ok(encode::curve_run(run?));
        Ok(Response::new(ReceiverStream::new(stream).map(sent)))
    }

    async fn get_results(&self, request: Request<v1::GetResultsRequest>) -> Answer<v1::GetResultsResponse> {
        let outcomes = self.api.results(decode::selector(request.into_inner().campaign)?).await?;
        Ok(Response::new(v1::GetResultsResponse { results: outcomes.iter().map(encode::outcome).collect() }))
    }

    async fn cancel_campaign(&self, request: Request<v1::CancelCampaignRequest>) -> Answer<v1::CancelCampaignResponse> {
        let campaign = self.api.cancel(decode::selector(request.into_inner().campaign)?).await?;
        Ok(Response::new(v1::CancelCampaignResponse { campaign: campaign.to_string() }))
    }

    async fn retry_campaign(&self, request: Request<v1::RetryCampaignRequest>) -> Answer<v1::RetryCampaignResponse> {
        let campaign = self.api.retry(decode::selector(request.into_inner().campaign)?).await?;
        Ok(Response::new(v1::RetryCampaignResponse { campaign: campaign.to_string() }))
    }

    async fn list_workers(&self, _: Request<v1::ListWorkersRequest>) -> Answer<v1::ListWorkersResponse> {
        let workers = self.api.workers().await?.iter().map(encode::worker).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn get_checkpoint(&self, request: Request<v1::GetCheckpointRequest>) -> Answer<v1::CheckpointRef> {
        let v1::GetCheckpointRequest { stage, step } = request.into_inner();
        let stage = Selector::new("stage", stage).map_err(decode::DecodeError::from)?;
        let checkpoint = self.api.checkpoint(stage, step).await?;
        Ok(Response::new(encode::checkpoint_ref(&checkpoint)))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Answer<v1::ListCheckpointsResponse> {
        let campaign = decode::optional(request.into_inner().campaign)?;
        let checkpoints = self.api.checkpoints(campaign).await?.iter().map(encode::status).collect();
        Ok(Response::new(v1::ListCheckpointsResponse { checkpoints }))
    }

    async fn collect_checkpoints(
        &self,
        request: Request<v1::CollectCheckpointsRequest>,
    ) -> Answer<v1::CollectCheckpointsResponse> {
        let collection = self.api.collect(decode::collect(request.into_inner())?).await?;
        Ok(Response::new(encode::collection(collection)))
    }
}
