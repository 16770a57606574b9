//! A store of one test's own, and what is committed to it.

use std::path::PathBuf;
use std::sync::Arc;

use coordinator::store::{
    Commit, CommittedCheckpoint, CurvePoint, MemoryStore, Place, Postgres, PostgresStore, Presence, SqliteStore, Store,
    StoreError, Term, TokenRow,
};
use recipes::Recipe;
use scheduler::{AttemptEnd, Fact, RemovalReason};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Attempt, AttemptKey, Measurements, Plan, Stage, StageKey, WorkerId, sample};

use crate::postgres::server;

/// The time of every commit here.
pub(crate) const AT_MS: u64 = 1_700_000_000_123;

/// Makes of functions a test for each implementation: `async fn name(scratch: Scratch)`, with an empty store.
macro_rules! conforming {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::scratch::Scratch::sqlite().await).await;
            })+
        }

        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::scratch::Scratch::memory().await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let Some(scratch) = crate::scratch::Scratch::postgres().await else { return };
                super::$test(scratch).await;
            })+
        }
    };
}
pub(crate) use conforming;

/// A store and its one writer.
pub(crate) struct Scratch {
    home: Home,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) term: Term,
}

/// Where a store is while nobody has it open.
enum Home {
    File(File),
    Memory(MemoryStore),
    Database(Database),
}

/// A database of one test's own.
pub(crate) struct Database {
    pub(crate) address: Postgres,
    name: String,
}

/// A SQLite file in a directory of its own.
pub(crate) struct File {
    dir: TempDir,
}

impl Home {
    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::File(file) => Arc::new(SqliteStore::open(&file.path()).await.expect("it opens")),
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Database(database) => Arc::new(database.store()),
        }
    }
}

impl Scratch {
    async fn new(home: Home) -> Self {
        let store = home.open().await;
        let term = store.begin_term().await.expect("it begins");
        Self { home, store, term }
    }

    pub(crate) async fn sqlite() -> Self {
        Self::new(Home::File(File { dir: tempfile::tempdir().expect("a temporary directory") })).await
    }

    pub(crate) async fn memory() -> Self {
        Self::new(Home::Memory(MemoryStore::new())).await
    }

    /// `None` where PostgreSQL is not installed.
    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::new(Home::Database(Database::with_schema().await?)).await)
    }

    pub(crate) fn database(&self) -> &Database {
        match &self.home {
            Home::Database(database) => database,
            Home::File(_) | Home::Memory(_) => panic!("this test has a database"),
        }
    }

    /// The file, where it is one: for what only a person with a database tool sees or does.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.home {
            Home::File(file) => Some(file),
            Home::Memory(_) | Home::Database(_) => None,
        }
    }

    pub(crate) async fn try_commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.commit(self.term, commit).await
    }

    pub(crate) async fn commit(&self, commit: Commit) {
        self.try_commit(&commit).await.expect("it is committed");
    }

    pub(crate) async fn record(&self, facts: impl IntoIterator<Item = Fact>) {
        self.commit(Commit { at_ms: AT_MS, facts: facts.into_iter().collect(), ..Commit::default() }).await;
    }

    /// Accepts a plan and starts the first attempt at its first root.
    pub(crate) async fn start_a_stage(&self) -> StageKey {
        let stage = root().key;
        self.record([Fact::CampaignAccepted { plan: plan() }, started(stage, 1)]).await;
        stage
    }

    /// The same store, as the next coordinator opens it.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        Self::new(self.home).await
    }

    /// The same store, as somebody else opens it beside.
    pub(crate) async fn open_beside(&self) -> Arc<dyn Store> {
        self.home.open().await
    }

    pub(crate) async fn steps(&self, stage: StageKey) -> Vec<u64> {
        let curve = self.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
        curve.iter().map(|point| point.step).collect()
    }
}

impl Database {
    /// An empty one; `None` where PostgreSQL is not installed.
    pub(crate) async fn create() -> Option<Self> {
        Self::like("template1").await
    }

    /// One with the tables of a store, which are made once for all tests.
    async fn with_schema() -> Option<Self> {
        static BASE: OnceCell<Option<String>> = OnceCell::const_new();
        let base = BASE.get_or_init(async || {
            let base = Self::create().await?;
            let store = base.store();
            store.begin_term().await.expect("it begins");
            store.close().await;
            // As if nobody had led yet.
            let mut session = base.connect().await;
            sqlx::raw_sql("UPDATE leader SET epoch = 0").execute(&mut session).await.expect("it is written");
            session.close().await.expect("it closes");
            Some(base.name)
        });
        Self::like(base.await.as_deref()?).await
    }

    async fn like(template: &str) -> Option<Self> {
        let server = server()?;
        let name = server.fresh_name();
        let mut administrator = PgConnection::connect(&server.url("postgres")).await.expect("the server runs");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"));
        sqlx::raw_sql(create).execute(&mut administrator).await.expect("it is created");
        let Ok(Place::Postgres(address)) = Place::parse(&server.url(&name)) else { panic!("it is an address") };
        Some(Self { address, name })
    }

    pub(crate) fn store(&self) -> PostgresStore {
        PostgresStore::new(&self.address, Presence::default()).expect("the address can be used")
    }

    /// A session of somebody else's.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.address.url()).await.expect("the server runs")
    }
}

impl File {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store.sqlite")
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

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        SqliteConnection::connect_with(&options).await.expect("it opens beside the store")
    }
}

pub(crate) fn plan() -> Plan {
    let recipe = Recipe::parse("smoke.toml", include_str!("../../../recipes/smoke.toml")).expect("it is sound");
    recipes::expand(&recipe, &sample::smoke_dataset()).expect("it can be expanded")
}

pub(crate) fn root() -> Stage {
    plan().stages.into_iter().find(|stage| stage.parent.is_none()).expect("there is a root")
}

pub(crate) fn worker() -> WorkerId {
    WorkerId::from_content(b"a worker")
}

pub(crate) fn started(stage: StageKey, attempt: u32) -> Fact {
    Fact::AttemptStarted { stage, worker: worker(), attempt: Attempt(attempt), name: String::new() }
}

pub(crate) fn ended(stage: StageKey, attempt: u32) -> Fact {
    Fact::AttemptEnded { stage, attempt: Attempt(attempt), why: AttemptEnd::Lost, excused: false }
}

pub(crate) fn reached(stage: StageKey, attempt: u32, step: u64) -> Fact {
    Fact::CheckpointCommitted { stage, attempt: Attempt(attempt), step }
}

pub(crate) fn removed(stage: StageKey, step: u64) -> Fact {
    Fact::CheckpointRemoved { stage, step, why: RemovalReason::Damaged }
}

pub(crate) fn completed(stage: StageKey, attempt: u32) -> Fact {
    let result = Measurements::new().with(VALIDATION_LOSS, 3.25);
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
    CurvePoint { step, loss, grad_norm: 0.1 + 0.2, learning_rate: 1e-3 / 3.0, measurements: Measurements::new() }
}

/// A token, of which there are as many as numbers.
pub(crate) fn token(number: u64) -> TokenRow {
    TokenRow {
        token: format!("token-{number:03}"),
        name: format!("number {number}"),
        scope: "read".to_owned(),
        hash: "0f".repeat(32),
        created_at_ms: AT_MS + number,
        expires_at_ms: None,
        revoked_at_ms: None,
    }
}

/// A commit of points of one attempt, all with this loss.
pub(crate) fn points(stage: StageKey, attempt: u32, steps: std::ops::Range<u64>, loss: f64) -> Commit {
    let points = steps.map(|step| point(step, loss)).collect();
    Commit { at_ms: AT_MS, curve: vec![(AttemptKey { stage, attempt: Attempt(attempt) }, points)], ..Commit::default() }
}
