//! The service for people and their tools. A handler decodes, forwards to `api`, and encodes.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::Map;
use proto::convert::sent_plan;
use proto::limits::{MAX_MESSAGE_BYTES, PART_BYTES};
use proto::v1::campaign_service_server::CampaignService;
use proto::v1::{self, CampaignUpdate, ResultRows, StageCurve};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vocabulary::{Rows, StageKey};

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

/// Parts that are ready.
type InParts<W> = tokio_stream::Iter<std::iter::Map<std::vec::IntoIter<W>, fn(W) -> Result<W, Status>>>;

fn in_parts<W>(parts: Vec<W>) -> Response<InParts<W>> {
    Response::new(tokio_stream::iter(parts.into_iter().map(Ok as fn(_) -> _)))
}

/// An answer in one message, for programs that do not read it in parts.
fn whole<W: prost::Message>(answer: W) -> Answer<W> {
    let bytes = answer.encoded_len();
    if bytes <= MAX_MESSAGE_BYTES {
        return Ok(Response::new(answer));
    }
    let [mib, most] = [bytes, MAX_MESSAGE_BYTES].map(|bytes| bytes.div_ceil(1 << 20));
    let version = env!("CARGO_PKG_VERSION");
    Err(Status::failed_precondition(format!(
        "the answer takes {mib} MiB, and this program reads at most {most} MiB at once: use windtunnel {version}, the \
         version of the coordinator, which reads it in parts"
    )))
}

#[tonic::async_trait]
impl CampaignService for CampaignHandlers {
    type WatchCampaignStream = Encoded<views::CampaignUpdate, CampaignUpdate>;
    type GetCurvesStream = Encoded<CurveRun, StageCurve>;
    type ReadCampaignStream = InParts<v1::CampaignPart>;
    type ReadResultsStream = InParts<v1::GetResultsResponse>;
    type ReadCheckpointsStream = InParts<v1::ListCheckpointsResponse>;
    type RemoveCheckpointsStream = InParts<v1::CollectCheckpointsResponse>;
    type GetResultRowsStream = Encoded<(StageKey, Rows), ResultRows>;
    type ReadTokenizerStream = InParts<v1::TokenizerPart>;

    async fn get_info(&self, _: Request<v1::GetInfoRequest>) -> Answer<v1::Info> {
        Ok(Response::new(v1::Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage: self.api.storage_url.clone(),
            process_id: std::process::id(),
            protocol: proto::PROTOCOL,
            troubles: self.api.troubles().await?,
            storage_id: self.api.storage_id.to_string(),
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

    async fn read_campaign(&self, request: Request<v1::GetCampaignRequest>) -> Answer<Self::ReadCampaignStream> {
        let detail = self.api.campaign(decode::selector(request.into_inner().campaign)?).await?;
        Ok(in_parts(self.api.beside(move || encode::parts::campaign(encode::detail(detail))).await?))
    }

    async fn get_campaign(&self, request: Request<v1::GetCampaignRequest>) -> Answer<v1::CampaignDetail> {
        let detail = self.api.campaign(decode::selector(request.into_inner().campaign)?).await?;
        whole(self.api.beside(move || encode::detail(detail)).await?)
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
                // If the channel is full, the client still sees that the stream ends.
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

    async fn read_results(&self, request: Request<v1::GetResultsRequest>) -> Answer<Self::ReadResultsStream> {
        let outcomes = self.api.results(decode::selector(request.into_inner().campaign)?).await?;
        Ok(in_parts(encode::parts::results(outcomes.iter().map(encode::outcome).collect())))
    }

    async fn get_result_rows(&self, request: Request<v1::GetResultRowsRequest>) -> Answer<Self::GetResultRowsStream> {
        let (found, stream) = mpsc::channel(WAITING);
        self.api.rows(decode::selector(request.into_inner().campaign)?, found).await?;
        let sent: fn(_) -> _ = |found: Result<_, ApiError>| Ok(encode::rows(found?));
        Ok(Response::new(ReceiverStream::new(stream).map(sent)))
    }

    async fn get_results(&self, request: Request<v1::GetResultsRequest>) -> Answer<v1::GetResultsResponse> {
        let outcomes = self.api.results(decode::selector(request.into_inner().campaign)?).await?;
        whole(v1::GetResultsResponse { results: outcomes.iter().map(encode::outcome).collect() })
    }

    async fn cancel_campaign(&self, request: Request<v1::CancelCampaignRequest>) -> Answer<v1::CancelCampaignResponse> {
        let cancelled = self.api.cancel(decode::selector(request.into_inner().campaign)?).await?;
        Ok(Response::new(encode::cancelled(cancelled)))
    }

    async fn forget_campaign(&self, request: Request<v1::ForgetCampaignRequest>) -> Answer<v1::ForgetCampaignResponse> {
        let forgotten = self.api.forget(decode::forget(request.into_inner())?).await?;
        Ok(Response::new(encode::forgotten(forgotten)))
    }

    async fn retry_campaign(&self, request: Request<v1::RetryCampaignRequest>) -> Answer<v1::RetryCampaignResponse> {
        let v1::RetryCampaignRequest { campaign, diverged } = request.into_inner();
        let retried = self.api.retry(decode::selector(campaign)?, diverged).await?;
        Ok(Response::new(encode::retried(retried)))
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

    async fn read_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Answer<Self::ReadCheckpointsStream> {
        let campaign = decode::optional(request.into_inner().campaign)?;
        let checkpoints = self.api.checkpoints(campaign).await?;
        Ok(in_parts(encode::parts::checkpoints(checkpoints.iter().map(encode::status).collect())))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Answer<v1::ListCheckpointsResponse> {
        let campaign = decode::optional(request.into_inner().campaign)?;
        let checkpoints = self.api.checkpoints(campaign).await?.iter().map(encode::status).collect();
        whole(v1::ListCheckpointsResponse { checkpoints })
    }

    async fn remove_checkpoints(
        &self,
        request: Request<v1::CollectCheckpointsRequest>,
    ) -> Answer<Self::RemoveCheckpointsStream> {
        let collection = self.api.collect(decode::collect(request.into_inner())?).await?;
        Ok(in_parts(encode::parts::collection(encode::collection(collection))))
    }

    async fn collect_checkpoints(
        &self,
        request: Request<v1::CollectCheckpointsRequest>,
    ) -> Answer<v1::CollectCheckpointsResponse> {
        let request = request.into_inner();
        // What would go is listed first: nothing may be removed that cannot be said.
        let listed =
            self.api.collect(decode::collect(v1::CollectCheckpointsRequest { dry_run: true, ..request.clone() })?);
        let listed = whole(encode::collection(listed.await?))?;
        if request.dry_run {
            return Ok(listed);
        }
        whole(encode::collection(self.api.collect(decode::collect(request)?).await?))
    }

    async fn begin_upload(&self, request: Request<v1::BeginUploadRequest>) -> Answer<v1::BeginUploadResponse> {
        let begun = self.api.begin_upload(decode::begin_upload(request.into_inner())?).await?;
        Ok(Response::new(encode::begun(begun)))
    }

    async fn write_upload(&self, request: Request<v1::WriteUploadRequest>) -> Answer<v1::WriteUploadResponse> {
        let (dataset, piece) = decode::write_upload(request.into_inner())?;
        Ok(Response::new(encode::written(self.api.write_upload(dataset, piece).await?)))
    }

    async fn complete_upload(&self, request: Request<v1::CompleteUploadRequest>) -> Answer<v1::CompleteUploadResponse> {
        let completed = self.api.complete_upload(decode::dataset(&request.into_inner().dataset)?).await?;
        Ok(Response::new(v1::CompleteUploadResponse { begun: completed.is_some() }))
    }

    async fn read_tokenizer(&self, request: Request<v1::ReadTokenizerRequest>) -> Answer<Self::ReadTokenizerStream> {
        let tokenizer = self.api.tokenizer(decode::dataset(&request.into_inner().dataset)?).await?;
        let part = |content: &[u8]| v1::TokenizerPart { content: content.to_vec() };
        Ok(in_parts(tokenizer.chunks(PART_BYTES).map(part).collect()))
    }
}
