//! A store that an earlier version wrote: everything in it is found again, and it can be continued.
//!
//! `tests/fixtures/f53a51d.sql` is a store as commit f53a51d writes it, as text: one campaign over two domains that records
//! its decays and has ended (a stage diverged, an attempt failed), and one whose coordinator was killed while a stage ran. The
//! workers were those of `tests/end_to_end/worker.rs`.

use std::collections::BTreeMap;

use coordinator::store::{Commit, Differences, LogCheck, SqliteStore, Store};
use scheduler::{Fact, Scheduler, Settings, StageState, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, FromRow};
use tempfile::TempDir;
use vocabulary::metrics::{
    D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE, VALIDATION_LOSS,
};
use vocabulary::{Metric, ParamKind, StageKey};

const WRITTEN: &str = include_str!("../fixtures/f53a51d.sql");

/// A row of its curves: step, loss, norm of the gradient, learning rate.
type CurveRow = (i64, Option<f64>, Option<f64>, Option<f64>);

/// A row of its dynamics: step, the largest gradient, whether there is a step before, and then the product, the cosine and
/// the two curvatures; then which kinds of weights were updated.
type DynamicsRow = (i64, Option<f64>, i64, Option<f64>, Option<f64>, Option<f64>, Option<f64>, i64);

/// Its largest updates, by kind.
type UpdatesRow = (i64, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// What the store has of a stage, by step.
type RowsOfStage = (Vec<CurveRow>, Vec<DynamicsRow>, Vec<UpdatesRow>);

/// The file as the earlier version left it.
struct Earlier {
    dir: TempDir,
    before: SqliteConnection,
}

impl Earlier {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = SqliteConnectOptions::new().filename(dir.path().join("store.sqlite")).create_if_missing(true);
        // Its tables come in no order that their references would allow.
        let mut before = SqliteConnection::connect_with(&options.foreign_keys(false)).await.expect("it opens");
        sqlx::raw_sql(WRITTEN).execute(&mut before).await.expect("it is written");
        Self { dir, before }
    }

    /// What a query said before anything was brought up to date.
    async fn rows<T: Send + Unpin + for<'r> FromRow<'r, SqliteRow>>(&mut self, sql: &str) -> Vec<T> {
        let select = sqlx::query_as(AssertSqlSafe(sql.to_owned()));
        select.fetch_all(&mut self.before).await.expect("the tables are those of that version")
    }

    async fn open(self) -> (TempDir, SqliteStore) {
        self.before.close().await.expect("it closes");
        let store = SqliteStore::open(&self.dir.path().join("store.sqlite")).await.expect("it is brought up to date");
        (self.dir, store)
    }
}

fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn column(value: Option<f64>) -> u64 {
    bits(value.unwrap_or(f64::NAN))
}

#[tokio::test]
async fn its_log_is_sound_and_restores_with_and_without_its_snapshot() {
    let mut earlier = Earlier::new().await;
    let [(rows,)] = earlier.rows::<(i64,)>("SELECT count(*) FROM facts").await[..] else { panic!("a number") };
    let ended = earlier
        .rows::<(String, Option<f64>)>("SELECT stage, validation_loss FROM results WHERE diverged_at_step IS NULL")
        .await;
    let (_dir, store) = earlier.open().await;

    let rows = u64::try_from(rows).expect("a count");
    assert_eq!(store.check_log().await.expect("it is sound"), LogCheck { rows, unchained: 0 });
    let derived = store.check_derived(Differences::Leave).await.expect("they can be read");
    assert_eq!(derived.wrong, Vec::<&str>::new());
    let facts = store.facts().await.expect("it is sound");
    let whole = Scheduler::restore(Settings::default(), Timestamp(0), facts).expect("it is sound");
    let mut snapshots = store.snapshots().await.expect("they can be read");
    assert!(!snapshots.is_empty());
    // Of an earlier form, so it is left aside and the whole log is read.
    for (_, snapshot) in snapshots.drain(..) {
        snapshot.expect_err("this version does not read it");
    }

    let results: BTreeMap<String, Option<f64>> = ended.into_iter().collect();
    let completed = whole.ledger().nodes().filter_map(|(work, state)| match state {
        StageState::Completed { result, .. } => Some((work.key().to_string(), result.get(VALIDATION_LOSS))),
        _ => None,
    });
    assert_eq!(completed.collect::<BTreeMap<_, _>>(), results);
    store.close().await;
}

#[tokio::test]
async fn its_curves_are_found_again_bit_for_bit() {
    let mut earlier = Earlier::new().await;
    let stages = earlier.rows::<(String,)>("SELECT DISTINCT stage FROM curve_points").await;
    let mut curves: BTreeMap<StageKey, RowsOfStage> = BTreeMap::new();
    for (stage,) in stages {
        let of = |columns: &str, table: &str| {
            format!("SELECT step, {columns} FROM {table} WHERE stage = '{stage}' ORDER BY step")
        };
        let points = earlier.rows(&of("loss, grad_norm, learning_rate", "curve_points")).await;
        let dynamics = "largest_gradient, has_consecutive, gradient_product, gradient_cosine, d1, d2, update_kinds";
        let dynamics = earlier.rows(&of(dynamics, "curve_dynamics")).await;
        let updates = "update_embedding, update_qkv, update_attention_out, update_gate_up, update_down, update_gain, \
                       update_head";
        let updates = earlier.rows(&of(updates, "curve_dynamics")).await;
        curves.insert(stage.parse().expect("a key"), (points, dynamics, updates));
    }
    assert!(curves.values().any(|(_, dynamics, _)| dynamics.len() > 1), "some stages record");
    let (_dir, store) = earlier.open().await;

    for (stage, (points, dynamics, updates)) in curves {
        let curve = store.curve(stage, 0, usize::MAX).await.expect("it can be read");
        let found: Vec<_> = curve
            .iter()
            .map(|point| (point.step, [point.loss, point.grad_norm, point.learning_rate].map(bits)))
            .collect();
        let expected: Vec<_> = points
            .iter()
            .map(|(step, loss, norm, rate)| (step.cast_unsigned(), [*loss, *norm, *rate].map(column)))
            .collect();
        assert_eq!(found, expected, "{stage}");

        let recorded: Vec<_> = curve.iter().filter(|point| !point.measurements.is_empty()).collect();
        assert_eq!(recorded.len(), dynamics.len(), "{stage}");
        for ((found, row), of_kinds) in recorded.into_iter().zip(&dynamics).zip(&updates) {
            let step = found.step;
            let measured = |metric: Metric| found.measurements.get(metric).map(bits);
            assert_eq!((step, measured(LARGEST_GRADIENT)), (row.0.cast_unsigned(), Some(column(row.1))));
            let compared = [GRADIENT_PRODUCT, GRADIENT_COSINE, D1, D2].map(measured);
            let expected = [row.3, row.4, row.5, row.6].map(|value| (row.2 != 0).then(|| column(value)));
            assert_eq!(compared, expected, "step {step} of {stage}");
            let of_kinds = [of_kinds.1, of_kinds.2, of_kinds.3, of_kinds.4, of_kinds.5, of_kinds.6, of_kinds.7];
            let expected = (0..).zip(of_kinds).map(|(bit, update)| (row.7 & (1 << bit) != 0).then(|| column(update)));
            let updates = ParamKind::ALL.map(|kind| found.measurements.get(LARGEST_UPDATE.part(kind.name())).map(bits));
            assert_eq!(updates.to_vec(), expected.collect::<Vec<_>>(), "step {step} of {stage}");
        }
    }
    store.close().await;
}

#[tokio::test]
async fn its_other_tables_are_found_again() {
    let mut earlier = Earlier::new().await;
    let campaigns = "SELECT campaign, submitted_at_ms, file, text FROM campaigns JOIN recipes USING (campaign)";
    let campaigns = earlier.rows::<(String, i64, String, String)>(campaigns).await;
    let checkpoints = "SELECT stage, step, attempt, manifest_hash, bytes, committed_at_ms FROM checkpoints \
                       ORDER BY stage, step";
    let checkpoints = earlier.rows::<(String, i64, u32, String, i64, i64)>(checkpoints).await;
    let streams = earlier.rows::<(String, i64)>("SELECT worker, last_sequence FROM worker_streams").await;
    let tokens = earlier.rows::<(String, String, String)>("SELECT token, scope, hash FROM tokens").await;
    assert!(campaigns.len() == 2 && !checkpoints.is_empty() && !streams.is_empty() && !tokens.is_empty());
    let (_dir, store) = earlier.open().await;

    let known = store.campaign_rows().await.expect("they can be read");
    assert_eq!(known.len(), campaigns.len());
    for (campaign, at_ms, file, text) in campaigns {
        let campaign = campaign.parse().expect("an identifier");
        let row = known.iter().find(|row| row.campaign == campaign).expect("it is there");
        assert_eq!(row.submitted_at_ms, at_ms.cast_unsigned());
        let recipe = store.recipe(campaign).await.expect("it can be read").expect("it is there");
        assert_eq!((recipe.file, recipe.text), (file, text));
    }
    let found = store.checkpoints().await.expect("they can be read").into_iter().map(|(row, at_ms)| {
        let [step, bytes, at_ms] = [row.step, row.bytes, at_ms].map(u64::cast_signed);
        (row.stage.to_string(), step, row.attempt.0, row.manifest_hash, bytes, at_ms)
    });
    assert_eq!(found.collect::<Vec<_>>(), checkpoints);
    for (worker, sequence) in streams {
        let found = store.last_sequence(worker.parse().expect("an identifier")).await.expect("it can be read");
        assert_eq!(found, Some(sequence.cast_unsigned()));
    }
    let found = store.tokens().await.expect("they can be read").into_iter();
    assert_eq!(found.map(|row| (row.token, row.scope, row.hash)).collect::<Vec<_>>(), tokens);
    assert!(!store.whole_attempts().await.expect("they can be read").is_empty());
    store.close().await;
}

#[tokio::test]
async fn it_goes_on() {
    let (dir, store) = Earlier::new().await.open().await;
    let facts = store.facts().await.expect("it is sound");
    let scheduler = Scheduler::restore(Settings::default(), Timestamp(0), facts.clone()).expect("it is sound");
    let running = scheduler.ledger().nodes().find_map(|(work, state)| match state {
        StageState::Running { attempt, worker, .. } => Some((work.key(), *attempt, *worker)),
        _ => None,
    });
    let (stage, attempt, worker) = running.expect("a coordinator was killed in the middle");
    let news = vec![
        Fact::AttemptEnded { stage, attempt, why: scheduler::AttemptEnd::Lost, excused: false },
        Fact::AttemptStarted { stage, attempt: vocabulary::Attempt(attempt.0 + 1), worker, name: String::new() },
    ];
    let kept = store.last_checkpoint(stage).await.expect("it can be read").map_or(0, |checkpoint| checkpoint.step);
    let term = store.begin_term().await.expect("it begins");
    let commit = Commit { at_ms: 1, facts: news.clone(), session: vec![(worker, 1 << 20)], ..Commit::default() };
    store.commit(term, &commit).await.expect("it is written");
    store.close().await;

    let store = SqliteStore::open(&dir.path().join("store.sqlite")).await.expect("it opens again");
    assert_eq!(store.facts().await.expect("it is sound"), [facts, news].concat());
    assert_eq!(store.last_sequence(worker).await.expect("it can be read"), Some(1 << 20));
    let curve = store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    assert!(curve.iter().all(|point| point.step < kept), "the curve is cut to what the next attempt starts from");
    let derived = store.check_derived(Differences::Leave).await.expect("they can be read");
    assert_eq!(derived.wrong, Vec::<&str>::new());
    store.close().await;
}
