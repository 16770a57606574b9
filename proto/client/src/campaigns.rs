//! The calls of the campaign service, in terms of the vocabulary.

use std::collections::BTreeMap;

use dial::{Address, Addresses, Authorize, Credentials};
use proto::v1;
use proto::v1::campaign_part::Part;
use proto::v1::campaign_service_client::CampaignServiceClient;
use proto::v1::pool_service_client::PoolServiceClient;
use recipes::Recipe;
use tonic::Streaming;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use vocabulary::{Dataset, DatasetId, Plan};

use crate::CallError;

/// A connection to a coordinator.
#[derive(Debug, Clone)]
pub struct Campaigns {
    client: CampaignServiceClient<InterceptedService<Channel, Authorize>>,
    pub(crate) pools: PoolServiceClient<InterceptedService<Channel, Authorize>>,
    url: String,
}

/// A campaign with its plan and the state of each stage.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Its counts.
    pub summary: v1::CampaignSummary,
    pub plan: Plan,
    /// In the order of the plan's stages.
    pub stages: Vec<v1::StageStatus>,
    /// In the order of the plan's evaluations.
    pub evaluations: Vec<v1::StageStatus>,
    /// The recipe's file name.
    pub recipe_file: String,
    /// The recipe's text; empty if the campaign has none.
    pub recipe_text: String,
}

impl Campaigns {
    /// Connects; fails at once if the coordinator does not answer. Of several addresses, separated by commas, it is the first
    /// that leads.
    pub async fn connect(urls: &str, credentials: &Credentials) -> Result<Self, CallError> {
        // Every one has to be an address.
        let addresses = Addresses::parse(urls, credentials)?;
        let several = addresses.iter().count() > 1;
        let mut last = None;
        for address in addresses.iter() {
            match Self::connect_to(address, several).await {
                Err(error) if error.is_retryable() => last = Some(error),
                connected => return connected,
            }
        }
        Err(last.unwrap_or_else(|| CallError::NotNow { url: urls.to_owned(), message: "it has no address".to_owned() }))
    }

    /// Connects to one address, and asks whether it leads where another may.
    async fn connect_to(address: &Address, several: bool) -> Result<Self, CallError> {
        let url = address.url();
        let channel = address.connect().await.map_err(|source| CallError::connecting(url, source))?;
        let pools = PoolServiceClient::with_interceptor(channel.clone(), address.authorize().clone())
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let client = CampaignServiceClient::with_interceptor(channel, address.authorize().clone())
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
        let mut connected = Self { client, pools, url: url.to_owned() };
        if several {
            connected.info().await?;
        }
        Ok(connected)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Information about the coordinator, including the address of its storage.
    pub async fn info(&mut self) -> Result<v1::Info, CallError> {
        let answer = self.client.get_info(v1::GetInfoRequest {}).await;
        self.received(answer)
    }

    /// Submits a recipe with the data it is expanded over.
    pub async fn submit(
        &mut self,
        recipe: &Recipe,
        dataset: &Dataset,
        weight: Option<u32>,
    ) -> Result<v1::SubmitResponse, CallError> {
        let request = v1::SubmitRequest {
            weight,
            recipe_file: recipe.file().to_owned(),
            recipe_text: recipe.text().to_owned(),
            dataset: Some(dataset.into()),
        };
        let answer = self.client.submit(request).await;
        self.received(answer)
    }

    /// Extends a campaign to a larger recipe.
    pub async fn extend(&mut self, campaign: &str, recipe: &Recipe) -> Result<v1::ExtendCampaignResponse, CallError> {
        let request = v1::ExtendCampaignRequest {
            campaign: campaign.to_owned(),
            recipe_file: recipe.file().to_owned(),
            recipe_text: recipe.text().to_owned(),
        };
        let answer = self.client.extend_campaign(request).await;
        self.received(answer)
    }

    /// Starts a branch, or plans it in a dry run. Returns its plan and the number of completed stages.
    pub async fn branch(&mut self, request: v1::BranchCampaignRequest) -> Result<(Plan, u32), CallError> {
        let answer = self.client.branch_campaign(request).await;
        let v1::BranchCampaignResponse { plan_json, stages_done } = self.received(answer)?;
        Ok((self.plan(&plan_json).await?, stages_done))
    }

    /// Has stages of a campaign evaluated on a text, or plans that on a dry run.
    ///
    /// # Errors
    /// The coordinator does not answer, or refuses the request.
    pub async fn evaluate(
        &mut self,
        request: v1::EvaluateCampaignRequest,
    ) -> Result<v1::EvaluateCampaignResponse, CallError> {
        let answer = self.client.evaluate_campaign(request).await;
        self.received(answer)
    }

    /// All campaigns, in order of submission.
    pub async fn list(&mut self) -> Result<Vec<v1::CampaignSummary>, CallError> {
        let answer = self.client.list_campaigns(v1::ListCampaignsRequest {}).await;
        Ok(self.received(answer)?.campaigns)
    }

    /// Every worker that the coordinator knows to be alive, by name.
    ///
    /// # Errors
    /// The coordinator does not answer, or refuses the request.
    pub async fn workers(&mut self) -> Result<Vec<v1::WorkerStatus>, CallError> {
        let answer = self.client.list_workers(v1::ListWorkersRequest {}).await;
        Ok(self.received(answer)?.workers)
    }

    /// A campaign by name, identifier or prefix.
    pub async fn detail(&mut self, campaign: &str) -> Result<Detail, CallError> {
        let answer = self.client.read_campaign(v1::GetCampaignRequest { campaign: campaign.to_owned() }).await;
        let mut parts = self.received(answer)?;
        let (mut head, mut plan_json) = (v1::CampaignHead::default(), Vec::new());
        let (mut stages, mut evaluations) = (Vec::new(), Vec::new());
        while let Some(v1::CampaignPart { part }) = self.next(&mut parts).await? {
            match part {
                Some(Part::Head(whole)) => head = whole,
                Some(Part::PlanJson(piece)) => plan_json.extend(piece),
                Some(Part::Stages(list)) => stages.extend(list.statuses),
                Some(Part::Evaluations(list)) => evaluations.extend(list.statuses),
                // Of a later version.
                None => {}
            }
        }
        let plan = self.plan(&String::from_utf8_lossy(&plan_json)).await?;
        let v1::CampaignHead { summary, recipe_file, recipe_text } = head;
        Ok(Detail { summary: summary.unwrap_or_default(), plan, stages, evaluations, recipe_file, recipe_text })
    }

    /// Decodes a plan. If that fails, the coordinator is probably of another version, so it is asked for its version.
    async fn plan(&mut self, json: &str) -> Result<Plan, CallError> {
        let source = match proto::convert::plan("plan_json", json) {
            Ok(plan) => return Ok(plan),
            Err(source) => source,
        };
        let info = self.info().await.ok();
        Err(CallError::unreadable(&self.url, source, info.as_ref()))
    }

    /// The status of a campaign now and at every change.
    pub async fn watch(&mut self, campaign: &str) -> Result<Updates, CallError> {
        let answer = self.client.watch_campaign(v1::WatchCampaignRequest { campaign: campaign.to_owned() }).await;
        Ok(Updates { stream: self.received(answer)?, url: self.url.clone() })
    }

    /// Curves by printed stage key; of all the campaign's stages if `stages` is empty.
    pub async fn curves(
        &mut self,
        campaign: &str,
        stages: &[String],
    ) -> Result<BTreeMap<String, Vec<v1::CurvePoint>>, CallError> {
        let request = v1::GetCurvesRequest { campaign: campaign.to_owned(), stages: stages.to_vec(), after_step: None };
        let answer = self.client.get_curves(request).await;
        let mut stream = self.received(answer)?;
        let mut curves: BTreeMap<String, Vec<v1::CurvePoint>> = BTreeMap::new();
        while let Some(part) = self.next(&mut stream).await? {
            curves.entry(part.stage).or_default().extend(part.points);
        }
        Ok(curves)
    }

    /// What is behind the results of a campaign's stages, by printed key; nothing from a coordinator that does not keep it.
    pub async fn rows(&mut self, campaign: &str) -> Result<BTreeMap<String, Vec<v1::MeasurementRows>>, CallError> {
        let answer = self.client.get_result_rows(v1::GetResultRowsRequest { campaign: campaign.to_owned() }).await;
        if answer.as_ref().is_err_and(|status| status.code() == tonic::Code::Unimplemented) {
            return Ok(BTreeMap::new());
        }
        let mut stream = self.received(answer)?;
        let mut rows = BTreeMap::new();
        while let Some(part) = stream.message().await.map_err(|status| CallError::of(&self.url, status))? {
            rows.insert(part.stage, part.rows);
        }
        Ok(rows)
    }

    /// The results of finished trials.
    pub async fn results(&mut self, campaign: &str) -> Result<Vec<v1::TrialResult>, CallError> {
        let answer = self.client.read_results(v1::GetResultsRequest { campaign: campaign.to_owned() }).await;
        let (mut parts, mut results) = (self.received(answer)?, Vec::new());
        while let Some(part) = self.next(&mut parts).await? {
            results.extend(part.results);
        }
        Ok(results)
    }

    /// Cancels a campaign, unless it has ended.
    pub async fn cancel(&mut self, campaign: &str) -> Result<v1::CancelCampaignResponse, CallError> {
        let answer = self.client.cancel_campaign(v1::CancelCampaignRequest { campaign: campaign.to_owned() }).await;
        self.received(answer)
    }

    /// Forgets a campaign that is over, or says what would go in a dry run.
    pub async fn forget(
        &mut self,
        request: v1::ForgetCampaignRequest,
    ) -> Result<v1::ForgetCampaignResponse, CallError> {
        let answer = self.client.forget_campaign(request).await;
        self.received(answer)
    }

    /// Retries the failed stages of a campaign, and on request those that diverged.
    pub async fn retry(&mut self, campaign: &str, diverged: bool) -> Result<v1::RetryCampaignResponse, CallError> {
        let request = v1::RetryCampaignRequest { campaign: campaign.to_owned(), diverged };
        let answer = self.client.retry_campaign(request).await;
        self.received(answer)
    }

    /// The committed checkpoint of a stage at a step, or its last one.
    pub async fn checkpoint(&mut self, stage: &str, step: Option<u64>) -> Result<v1::CheckpointRef, CallError> {
        let answer = self.client.get_checkpoint(v1::GetCheckpointRequest { stage: stage.to_owned(), step }).await;
        self.received(answer)
    }

    /// The committed checkpoints of a campaign, or of all campaigns if the name is empty.
    pub async fn checkpoints(&mut self, campaign: &str) -> Result<Vec<v1::CommittedCheckpoint>, CallError> {
        let answer = self.client.read_checkpoints(v1::ListCheckpointsRequest { campaign: campaign.to_owned() }).await;
        let (mut parts, mut checkpoints) = (self.received(answer)?, Vec::new());
        while let Some(part) = self.next(&mut parts).await? {
            checkpoints.extend(part.checkpoints);
        }
        Ok(checkpoints)
    }

    /// Removes unneeded checkpoints, or lists them in a dry run.
    pub async fn collect_checkpoints(
        &mut self,
        request: v1::CollectCheckpointsRequest,
    ) -> Result<v1::CollectCheckpointsResponse, CallError> {
        let answer = self.client.remove_checkpoints(request).await;
        let (mut parts, mut whole) = (self.received(answer)?, v1::CollectCheckpointsResponse::default());
        while let Some(part) = self.next(&mut parts).await? {
            whole.bytes += part.bytes;
            whole.checkpoints.extend(part.checkpoints);
            whole.orphans.extend(part.orphans);
        }
        Ok(whole)
    }

    /// Begins to send a dataset with this manifest, or says how far it was sent.
    pub(crate) async fn begin_upload(&mut self, manifest: Vec<u8>) -> Result<v1::BeginUploadResponse, CallError> {
        let answer = self.client.begin_upload(v1::BeginUploadRequest { manifest }).await;
        self.received(answer)
    }

    /// Sends a piece of a dataset.
    pub(crate) async fn write_upload(
        &mut self,
        piece: v1::WriteUploadRequest,
    ) -> Result<v1::WriteUploadResponse, CallError> {
        let answer = self.client.write_upload(piece).await;
        self.received(answer)
    }

    /// Makes what was sent a dataset. Returns whether the coordinator knows of it.
    pub(crate) async fn complete_upload(&mut self, dataset: String) -> Result<bool, CallError> {
        let answer = self.client.complete_upload(v1::CompleteUploadRequest { dataset }).await;
        Ok(self.received(answer)?.begun)
    }

    /// The tokenizer of a dataset in the coordinator's storage, as `tokenizer.json` has it.
    pub async fn tokenizer(&mut self, dataset: &DatasetId) -> Result<Vec<u8>, CallError> {
        let answer = self.client.read_tokenizer(v1::ReadTokenizerRequest { dataset: dataset.to_string() }).await;
        let (mut parts, mut json) = (self.received(answer)?, Vec::new());
        while let Some(v1::TokenizerPart { content }) = self.next(&mut parts).await? {
            json.extend(content);
        }
        Ok(json)
    }

    async fn next<T>(&self, parts: &mut Streaming<T>) -> Result<Option<T>, CallError> {
        parts.message().await.map_err(|status| CallError::of(&self.url, status))
    }

    pub(crate) fn received<T>(&self, answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, CallError> {
        answer.map(tonic::Response::into_inner).map_err(|status| CallError::of(&self.url, status))
    }
}

/// The updates of a watch, in order.
#[derive(Debug)]
pub struct Updates {
    stream: Streaming<v1::CampaignUpdate>,
    url: String,
}

impl Updates {
    /// The next update; `None` once the campaign has ended.
    pub async fn next(&mut self) -> Result<Option<v1::CampaignUpdate>, CallError> {
        self.stream.message().await.map_err(|status| CallError::of(&self.url, status))
    }
}
