//! A store in a directory of its own, and what is committed to it.

use std::path::PathBuf;

use coordinator::store::{Commit, CommittedCheckpoint, CurvePoint, Store, StoreError};
use recipes::Recipe;
use scheduler::{AttemptEnd, Fact, RemovalReason, StageResult};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, FromRow};
use tempfile::TempDir;
use vocabulary::{Attempt, AttemptKey, Dataset, DatasetId, Plan, Stage, StageKey, WorkerId};

/// The time of every commit here.
pub(crate) const AT_MS: u64 = 1_700_000_000_123;

pub(crate) struct Scratch {
    dir: TempDir,
    pub(crate) store: Store,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(&dir.path().join("store.sqlite")).await.expect("it opens");
        Self { dir, store }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store.sqlite")
    }

    pub(crate) async fn commit(&self, commit: Commit) {
        self.store.commit(&commit).await.expect("it is committed");
    }

    pub(crate) async fn record(&self, facts: impl IntoIterator<Item = Fact>) {
        self.commit(Commit { at_ms: AT_MS, facts: facts.into_iter().collect(), ..Commit::default() }).await;
    }

    /// Accepts a plan and starts the first attempt at its first root.
    pub(crate) async fn with_a_running_stage() -> (Self, StageKey) {
        let scratch = Self::new().await;
        let stage = root().key;
        scratch.record([Fact::CampaignAccepted { plan: plan() }, started(stage, 1)]).await;
        (scratch, stage)
    }

    /// The same file, opened again.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        let store = Store::open(&self.path()).await.expect("it opens again");
        Self { store, ..self }
    }

    /// What a person with a tool of their own does to the file.
    pub(crate) async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(&mut self.connect().await).await.map(|_| ())
    }

    /// What such a person sees.
    pub(crate) async fn select<T: Send + Unpin + for<'r> FromRow<'r, SqliteRow>>(&self, sql: &str) -> Vec<T> {
        let select = sqlx::query_as(AssertSqlSafe(sql.to_owned()));
        select.fetch_all(&mut self.connect().await).await.expect("the tables are as they are described")
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.select::<(i64,)>(&format!("SELECT count(*) FROM {table}")).await[0].0
    }

    pub(crate) async fn steps(&self, stage: StageKey) -> Vec<u64> {
        let curve = self.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
        curve.iter().map(|point| point.step).collect()
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        SqliteConnection::connect_with(&options).await.expect("it opens beside the store")
    }
}

pub(crate) fn plan() -> Plan {
    let recipe = Recipe::parse("smoke.toml", include_str!("../../../recipes/smoke.toml")).expect("it is sound");
    let dataset = Dataset {
        id: DatasetId::from_content(b"some text"),
        vocab: 300,
        train_tokens: 100_000,
        validation_tokens: 4096,
        train_bytes: 300_000,
        validation_bytes: 12_000,
        sources: vec!["a test".to_owned()],
        domains: Vec::new(),
    };
    recipes::expand(&recipe, &dataset).expect("it can be expanded")
}

pub(crate) fn root() -> Stage {
    plan().stages.into_iter().find(|stage| stage.parent.is_none()).expect("there is a root")
}

pub(crate) fn worker() -> WorkerId {
    WorkerId::from_content(b"a worker")
}

pub(crate) fn started(stage: StageKey, attempt: u32) -> Fact {
    Fact::AttemptStarted { stage, worker: worker(), attempt: Attempt(attempt) }
}

pub(crate) fn ended(stage: StageKey, attempt: u32) -> Fact {
    Fact::AttemptEnded { stage, attempt: Attempt(attempt), why: AttemptEnd::Lost }
}

pub(crate) fn reached(stage: StageKey, attempt: u32, step: u64) -> Fact {
    Fact::CheckpointCommitted { stage, attempt: Attempt(attempt), step }
}

pub(crate) fn removed(stage: StageKey, step: u64) -> Fact {
    Fact::CheckpointRemoved { stage, step, why: RemovalReason::Damaged }
}

pub(crate) fn completed(stage: StageKey, attempt: u32) -> Fact {
    let result = StageResult { validation_loss: Some(3.25), validation_loss_per_byte: None, ..Default::default() };
    Fact::StageCompleted { stage, attempt: Attempt(attempt), result }
}

pub(crate) fn checkpoint(stage: StageKey, attempt: u32, step: u64) -> CommittedCheckpoint {
    CommittedCheckpoint {
        stage,
        attempt: Attempt(attempt),
        step,
        manifest_path: proto::layout::manifest_path(AttemptKey { stage, attempt: Attempt(attempt) }, step),
        manifest_hash: "0f".repeat(32),
        bytes: 1 << 40,
    }
}

pub(crate) fn point(step: u64, loss: f64) -> CurvePoint {
    CurvePoint { step, loss, grad_norm: 0.1 + 0.2, learning_rate: 1e-3 / 3.0, dynamics: None }
}

/// A commit of points of one attempt, all with this loss.
pub(crate) fn points(stage: StageKey, attempt: u32, steps: std::ops::Range<u64>, loss: f64) -> Commit {
    let points = steps.map(|step| point(step, loss)).collect();
    Commit { at_ms: AT_MS, curve: vec![(AttemptKey { stage, attempt: Attempt(attempt) }, points)], ..Commit::default() }
}

/// An error with its causes.
pub(crate) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
