//! Copies of whole stores, from a file into a database and back.

use coordinator::store::{
    Commit, CopyStoreError, CurvePoint, Differences, PackedSnapshot, Place, Speaker, SqliteStore, Store, StoreError,
};
use coordinator::{CopyError, STORE_FILE, Side, copy_store};
use scheduler::{Scheduler, Settings, Timestamp};
use sqlx::{Connection as _, SqliteConnection};
use vocabulary::metrics::{LARGEST_GRADIENT, VALIDATION_LOSS};
use vocabulary::{Attempt, AttemptKey, DocumentLoss, Measurements, Rows};

use crate::observed::observe;
use crate::scratch::{
    AT_MS, Database, checkpoint, completed, ended, plan, point, points, reached, root, started, token, worker,
};

/// A directory with a store that has something in every table.
async fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&dir.path().join(STORE_FILE)).await.expect("it opens");
    let (term, stage, plan) = (store.begin_term().await.expect("it begins"), root().key, plan());
    let (key, end) = (AttemptKey { stage, attempt: Attempt(2) }, root().spec.steps.end);
    let measurements = Measurements::new().with(LARGEST_GRADIENT, 0.1 + 0.2);
    let mut commit = points(stage, 2, 0..1200, 0.1 + 0.2);
    commit.curve.push((key, vec![point(1200, f64::NAN), CurvePoint { measurements, ..point(1201, f64::INFINITY) }]));
    let mut rows = Rows::new();
    rows.set(VALIDATION_LOSS, vec![DocumentLoss { nats: 6.5, tokens: 2, bytes: 7 }]);
    commit.facts = vec![
        scheduler::Fact::CampaignAccepted { plan: plan.clone() },
        started(stage, 1),
        ended(stage, 1),
        started(stage, 2),
        reached(stage, 2, end),
        completed(stage, 2),
    ];
    commit.rows = vec![(key, rows)];
    commit.checkpoints = vec![checkpoint(stage, 2, end)];
    commit.to_delete = vec!["datasets/gone".to_owned()];
    commit.recipes = vec![(plan.campaign, "smoke.toml".to_owned(), "a = \"ö\"".to_owned())];
    commit.session = vec![(worker(), u64::MAX)];
    commit.speakers = vec![(worker(), Speaker { token: Some("a".to_owned()), secret_hash: None })];
    store.commit(term, &Commit { at_ms: AT_MS, ..commit }).await.expect("it is committed");
    let facts = store.facts().await.expect("it is sound");
    let scheduler = Scheduler::restore(Settings::default(), Timestamp(0), facts).expect("it is sound");
    let packed = PackedSnapshot::pack(&scheduler.snapshot());
    store.save_snapshot(term, 6, AT_MS, &packed).await.expect("it is written");
    for number in 0..3 {
        store.add_token(&token(number)).await.expect("it is written");
    }
    assert!(store.revoke_token("token-001", AT_MS).await.expect("it is written"));
    store.close().await;
    dir
}

async fn seen(store: &dyn Store) -> Vec<String> {
    let stages: Vec<_> = plan().stages.iter().map(|stage| stage.key).collect();
    let mut seen = observe(store, &stages, &[plan().campaign], &[worker()]).await;
    for stage in stages {
        seen.push(format!("{:?}", store.rows(stage).await.expect("they can be read")));
    }
    seen
}

async fn seen_in(dir: &std::path::Path) -> Vec<String> {
    let store = SqliteStore::open(&dir.join(STORE_FILE)).await.expect("it opens");
    let seen = seen(&store).await;
    store.close().await;
    seen
}

#[tokio::test]
async fn a_store_goes_into_a_database_and_comes_back_as_it_was() {
    let Some(database) = Database::create().await else { return };
    let (from, back) = (filled().await, tempfile::tempdir().expect("a directory"));
    let (dir, side) = (Side::Dir(from.path().to_owned()), Side::Database(database.address.clone()));
    let before = seen_in(from.path()).await;
    let mut pages = Vec::new();
    let copied = copy_store(&dir, &side, &mut |table, rows| pages.push((table, rows))).await.expect("it is copied");
    assert_eq!(copied.log, 6);
    assert!(copied.rows > 1200, "{copied:?}");
    assert!(pages.contains(&("curve_points", 1202)), "{pages:?}");

    let store = database.store();
    assert_eq!(store.take_turn().await.expect("it is reached"), coordinator::store::Turn::Taken, "the copy has let go");
    assert_eq!(seen(&store).await, before);
    // The next coordinator continues the log, and the series of curves.
    let (term, stage) = (store.begin_term().await.expect("it begins"), root().key);
    let measurements = Measurements::new().with(VALIDATION_LOSS, 1.0);
    let curve =
        vec![(AttemptKey { stage, attempt: Attempt(2) }, vec![CurvePoint { measurements, ..point(5000, 1.0) }])];
    store.commit(term, &Commit { curve, ..Commit::default() }).await.expect("it is committed");
    let check = store.check_derived(Differences::Rewrite(term)).await.expect("they can be read");
    assert_eq!(check.wrong, Vec::<&str>::new());
    let after = seen(&store).await;
    store.close().await;

    copy_store(&side, &Side::Dir(back.path().to_owned()), &mut |_, _| ()).await.expect("it is copied back");
    assert_eq!(seen_in(back.path()).await, after);
    assert_eq!(seen_in(from.path()).await, before, "the source stays as it is");
}

#[tokio::test]
async fn what_is_there_is_not_mixed_with_a_copy_and_whoever_writes_is_not_copied() {
    let Some(database) = Database::create().await else { return };
    let (from, side) = (filled().await, Side::Database(database.address.clone()));
    let dir = Side::Dir(from.path().to_owned());
    let missing = tempfile::tempdir().expect("a directory");
    let error = copy_store(&Side::Dir(missing.path().to_owned()), &side, &mut |_, _| ()).await;
    assert!(matches!(error, Err(CopyError::NoStore { .. })), "{error:?}");
    let new = missing.path().join("new");
    for dir in [missing.path(), &new] {
        let error = copy_store(&side, &Side::Dir(dir.to_owned()), &mut |_, _| ()).await;
        assert!(matches!(error, Err(CopyError::NoStore { .. })), "{error:?}");
    }
    assert_eq!(std::fs::read_dir(missing.path()).expect("it is there").count(), 0, "nothing is left behind");

    let leader = database.store();
    leader.begin_term().await.expect("it begins");
    let error = copy_store(&dir, &side, &mut |_, _| ()).await;
    assert!(matches!(error, Err(CopyError::Led { by: Some(_), .. })), "{error:?}");
    leader.add_token(&token(7)).await.expect("it is written");
    leader.close().await;
    let error = copy_store(&dir, &side, &mut |_, _| ()).await;
    assert!(matches!(error, Err(CopyError::Copy(CopyStoreError::NotEmpty { table: "tokens" }))), "{error:?}");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_the_target_as_it_was() {
    let (from, to) = (filled().await, tempfile::tempdir().expect("a directory"));
    damage(from.path()).await;
    let (there, new) = (to.path().join("there"), to.path().join("new"));
    std::fs::create_dir(&there).expect("made");
    std::fs::write(there.join("notes.txt"), "mine").expect("written");
    for dir in [&there, &new] {
        let (from, to) = (Side::Dir(from.path().to_owned()), Side::Dir(dir.clone()));
        copy_store(&from, &to, &mut |_, _| ()).await.expect_err("the log is damaged");
    }
    assert!(!new.exists());
    let left: Vec<_> = std::fs::read_dir(&there).expect("it is there").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    // A store that was there before stays, whatever was to be copied over it.
    let other = filled().await;
    let before = seen_in(other.path()).await;
    let (source, target) = (filled().await, Side::Dir(other.path().to_owned()));
    let error = copy_store(&Side::Dir(source.path().to_owned()), &target, &mut |_, _| ()).await;
    assert!(matches!(error, Err(CopyError::Copy(CopyStoreError::NotEmpty { .. }))), "{error:?}");
    assert_eq!(seen_in(other.path()).await, before);
}

/// Changes a row of the log that nothing may change.
async fn damage(dir: &std::path::Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join(STORE_FILE));
    let mut file = SqliteConnection::connect_with(&options).await.expect("it opens");
    let damage = "DROP TRIGGER facts_are_never_changed; UPDATE facts SET at_ms = at_ms + 1 WHERE sequence = 3";
    sqlx::raw_sql(damage).execute(&mut file).await.expect("it is done");
}

#[tokio::test]
async fn a_damaged_log_is_not_copied() {
    let Some(database) = Database::create().await else { return };
    let from = filled().await;
    damage(from.path()).await;
    let (dir, side) = (Side::Dir(from.path().to_owned()), Side::Database(database.address.clone()));
    let error = copy_store(&dir, &side, &mut |_, _| ()).await.expect_err("the log is damaged");
    assert!(vocabulary::text::one_line(&error).contains("row 3 of `facts` does not follow"), "{error:?}");
    // The tables that are left are not taken for the store of the directory.
    let error = coordinator::store::choose(&Place::Postgres(database.address.clone()), from.path()).await;
    assert!(matches!(error, Err(StoreError::NotCopied { .. })), "{error:?}");
}
