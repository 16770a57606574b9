//! A coordinator over a folder of its own, with data for the recipe that is submitted to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coordinator::store::{Commit, MemoryStore, Store};
use coordinator::{Coordinator, CoordinatorOptions, Handle};
use proto::v1::campaign_service_client::CampaignServiceClient;
use proto::v1::{self, CampaignPhase, CampaignUpdate};
use scheduler::Fact;
use tempfile::TempDir;
use tonic::Streaming;
use tonic::transport::Channel;
use vocabulary::Plan;
use vocabulary::sample::smoke_dataset;

use crate::worker::{Job, Worker};

/// The smoke recipe, which waits for no backoff.
pub(crate) const RECIPE: &str = concat!(
    include_str!("../../../recipes/smoke.toml"),
    "\n[retries]\nbackoff_seconds = 0.001\nlongest_backoff_seconds = 0.001\n"
);

/// How long anything may take before the test is taken to hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    /// The store, unless it is the file in the directory.
    memory: Option<MemoryStore>,
    pub(crate) handle: Handle,
    pub(crate) client: CampaignServiceClient<Channel>,
}

pub(crate) fn options(dir: &Path) -> CoordinatorOptions {
    CoordinatorOptions { require_token: false, ..CoordinatorOptions::new(dir) }
}

pub(crate) fn submission() -> v1::SubmitRequest {
    v1::SubmitRequest {
        weight: None,
        recipe_file: "smoke.toml".to_owned(),
        recipe_text: RECIPE.to_owned(),
        dataset: Some((&smoke_dataset()).into()),
    }
}

impl Bench {
    /// A coordinator that has just started for the first time, with a store in memory.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One to which a campaign was submitted, with its only worker.
    pub(crate) async fn at_work() -> (Self, v1::SubmitResponse, Worker) {
        let mut bench = Self::new().await;
        let submitted = bench.submit().await;
        let worker = Worker::join(&bench.handle, "first").await;
        (bench, submitted, worker)
    }

    /// One that takes workers for gone after this long.
    pub(crate) async fn with_lease(lease_duration: Duration) -> Self {
        Self::with(|options| {
            options.settings.lease_duration = lease_duration;
            options.settings.heartbeat_interval = lease_duration / 6;
        })
        .await
    }

    /// One that is started in another way.
    pub(crate) async fn with(change: impl FnOnce(&mut CoordinatorOptions)) -> Self {
        Self::start_first(Some(MemoryStore::new()), change).await
    }

    /// One whose store has a campaign of this plan already.
    pub(crate) async fn that_recorded(plan: Plan) -> Self {
        let memory = MemoryStore::new();
        let term = memory.begin_term().await.expect("it begins");
        let recipes = vec![(plan.campaign, "smoke.toml".to_owned(), RECIPE.to_owned())];
        let commit = Commit { at_ms: 1, facts: vec![Fact::CampaignAccepted { plan }], recipes, ..Commit::default() };
        memory.commit(term, &commit).await.expect("it is committed");
        Self::start_first(Some(memory), |_| {}).await
    }

    /// One whose store is a file.
    pub(crate) async fn on_disk() -> Self {
        Self::on_disk_with(|_| {}).await
    }

    /// One whose store is a file, and that is started in another way.
    pub(crate) async fn on_disk_with(change: impl FnOnce(&mut CoordinatorOptions)) -> Self {
        Self::start_first(None, change).await
    }

    async fn start_first(memory: Option<MemoryStore>, change: impl FnOnce(&mut CoordinatorOptions)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut options = options(dir.path());
        change(&mut options);
        let storage = options.storage.as_ref().map_or_else(|| dir.path().to_owned(), PathBuf::from);
        let data = storage.join(proto::layout::dataset_path(&smoke_dataset().id));
        std::fs::create_dir_all(&data).expect("it is made");
        std::fs::write(data.join("manifest.json"), "{}").expect("it is written");
        Self::start(dir, memory, options).await
    }

    /// A coordinator over this store.
    pub(crate) async fn over_store(store: Arc<dyn Store>) -> Self {
        Self::start_first(None, |options| options.store = Some(store)).await
    }

    /// The store in memory.
    pub(crate) fn memory(&self) -> &MemoryStore {
        self.memory.as_ref().expect("it is in memory")
    }

    /// A coordinator with the same store and a directory of its own, so that no lock keeps the two apart.
    pub(crate) async fn beside(&self) -> Self {
        Self::start_first(self.memory.clone(), |_| {}).await
    }

    /// A coordinator over the directory that another one left, with its file.
    pub(crate) async fn over(dir: TempDir) -> Self {
        let options = options(dir.path());
        Self::start(dir, None, options).await
    }

    async fn start(dir: TempDir, memory: Option<MemoryStore>, options: CoordinatorOptions) -> Self {
        let store = memory.clone().map(|memory| Arc::new(memory) as Arc<dyn Store>);
        let options = CoordinatorOptions { store: store.or(options.store), ..options };
        let handle = Coordinator::start(options).await.expect("it starts");
        let client = CampaignServiceClient::connect(handle.public_url().to_owned()).await.expect("it listens");
        Self { dir, memory, handle, client }
    }

    /// Ends this coordinator and starts another on the same directory.
    pub(crate) async fn restart(self) -> Self {
        drop(self.client);
        self.handle.shutdown().await;
        let options = options(self.dir.path());
        Self::start(self.dir, self.memory, options).await
    }

    pub(crate) async fn submit(&mut self) -> v1::SubmitResponse {
        self.client.submit(submission()).await.expect("it is accepted").into_inner()
    }

    pub(crate) async fn detail(&mut self, campaign: &str) -> v1::CampaignDetail {
        let request = v1::GetCampaignRequest { campaign: campaign.to_owned() };
        self.client.get_campaign(request).await.expect("it is known").into_inner()
    }

    pub(crate) async fn watch(&mut self, campaign: &str) -> Streaming<CampaignUpdate> {
        let request = v1::WatchCampaignRequest { campaign: campaign.to_owned() };
        self.client.watch_campaign(request).await.expect("it is known").into_inner()
    }

    pub(crate) async fn results(&mut self, campaign: &str) -> Vec<v1::TrialResult> {
        let request = v1::GetResultsRequest { campaign: campaign.to_owned() };
        self.client.get_results(request).await.expect("it is known").into_inner().results
    }

    /// The steps and losses of a stage's curve, as they come.
    pub(crate) async fn curve(&mut self, campaign: &str, stage: &str) -> Vec<(u64, f64)> {
        let request =
            v1::GetCurvesRequest { campaign: campaign.to_owned(), stages: vec![stage.to_owned()], after_step: None };
        let mut curves = self.client.get_curves(request).await.expect("it is known").into_inner();
        let mut points = Vec::new();
        while let Some(curve) = curves.message().await.expect("the stream is whole") {
            assert_eq!(curve.stage, stage);
            points.extend(curve.points.iter().map(|point| (point.step, point.loss)));
        }
        points
    }

    /// Has a worker do the rest of a job, and so many more, after which the campaign has ended with whole curves.
    pub(crate) async fn see_through(&mut self, campaign: &str, worker: &mut Worker, rest: (&Job, u64), more: usize) {
        let (job, from) = rest;
        let updates = self.watch(campaign).await;
        worker.finish(job, from).await;
        worker.work(more).await;
        worker.settle().await;
        assert_eq!(phase(&last(updates).await), CampaignPhase::Ended);
        self.assert_curves_are_whole(campaign).await;
    }

    /// Checks that every stage of a campaign has every step once, with the loss that the worker of these tests reports.
    pub(crate) async fn assert_curves_are_whole(&mut self, campaign: &str) {
        for stage in plan_of(&self.detail(campaign).await.plan_json).stages {
            let expected: Vec<_> = stage.spec.steps.map(|step| (step, crate::worker::loss_at(step))).collect();
            assert_eq!(self.curve(campaign, &stage.key.to_string()).await, expected, "of {}", stage.key);
        }
    }
}

/// A plan as the coordinator sends it.
pub(crate) fn plan_of(json: &str) -> Plan {
    proto::convert::plan("plan_json", json).expect("the coordinator sends plans that can be read")
}

/// The last update of a stream that ends.
pub(crate) async fn last(mut updates: Streaming<CampaignUpdate>) -> CampaignUpdate {
    let mut last = None;
    let read = async {
        while let Some(update) = updates.message().await.expect("the stream is whole") {
            last = Some(update);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream ends");
    last.expect("there was an update")
}

pub(crate) fn phase(update: &CampaignUpdate) -> CampaignPhase {
    update.summary.as_ref().expect("it has a summary").phase()
}
