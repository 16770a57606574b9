//! Files that are not what they should be.

use std::time::Duration;

use coordinator::DoctorOptions;
use coordinator::store::{DerivedCheck, Differences, LogCheck, SqliteStore, StoreError};
use vocabulary::text::one_line;

use crate::scratch::{File, Scratch, checkpoint, completed, ended, points, reached, removed, root, started};

fn file(scratch: &Scratch) -> &File {
    scratch.file().expect("these tests damage a file")
}

/// A log that its guards no longer guard.
async fn unguarded() -> Scratch {
    let scratch = Scratch::sqlite().await;
    let stage = scratch.start_a_stage().await;
    scratch.record([reached(stage, 1, 5), ended(stage, 1), started(stage, 2)]).await;
    let drop = "DROP TRIGGER facts_are_never_changed; DROP TRIGGER facts_are_never_removed";
    file(&scratch).execute(drop).await.expect("they are there");
    scratch
}

#[tokio::test]
async fn a_row_of_the_log_that_is_missing_is_named() {
    let scratch = unguarded().await;
    file(&scratch).execute("DELETE FROM facts WHERE sequence IN (3, 4)").await.expect("it is done");
    let error = scratch.store.facts().await.expect_err("the log has a gap");
    assert!(matches!(error, StoreError::LogGap { missing: 3, next: 5 }), "{error:?}");
    assert!(one_line(&error).contains("row 3 of `facts` is missing"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_row_of_the_log_that_is_no_fact_is_named() {
    let rubbish = [
        "UPDATE facts SET fact = substr(fact, 1, 20) WHERE sequence = 4",
        "UPDATE facts SET fact = '{\"fact\":\"moon_landed\"}' WHERE sequence = 4",
    ];
    for sql in rubbish {
        let scratch = unguarded().await;
        file(&scratch).execute(sql).await.expect("it is done");
        let error = scratch.store.facts().await.expect_err("the log is damaged");
        assert!(matches!(error, StoreError::LogRow { sequence: 4, .. }), "{error:?}");
        assert!(one_line(&error).contains("row 4 of `facts` cannot be decoded: "), "{}", one_line(&error));
    }
}

#[tokio::test]
async fn a_row_of_the_log_that_was_changed_is_named() {
    let changes = [
        ("UPDATE facts SET fact = replace(fact, 'lost', 'revoked') WHERE sequence = 4", 4),
        ("UPDATE facts SET at_ms = at_ms + 1 WHERE sequence = 3", 3),
        ("UPDATE facts SET chain = NULL WHERE sequence = 5", 5),
        // Another log's beginning, sound in itself, under this one's end.
        ("UPDATE facts SET chain = (SELECT chain FROM facts WHERE sequence = 1) WHERE sequence = 2", 2),
    ];
    for (sql, row) in changes {
        let scratch = unguarded().await;
        file(&scratch).execute(sql).await.expect("it is done");
        let error = scratch.store.facts().await.expect_err("the log is damaged");
        assert!(matches!(error, StoreError::LogChain { sequence } if sequence == row), "{sql}: {error:?}");
        let error = scratch.store.check_log().await.expect_err("the log is damaged");
        assert!(error.to_string().contains(&format!("row {row} of `facts` does not follow")), "{error}");
    }
}

#[tokio::test]
async fn a_tail_of_the_log_that_is_cut_off_is_named() {
    let scratch = unguarded().await;
    assert_eq!(scratch.store.check_log().await.expect("it is sound"), LogCheck { rows: 5, unchained: 0 });
    file(&scratch).execute("DELETE FROM facts WHERE sequence > 3").await.expect("it is done");
    let error = scratch.store.facts().await.expect_err("the log is cut");
    assert!(matches!(error, StoreError::LogCut { last: 3, end: 5 }), "{error:?}");
    assert!(error.to_string().contains("ends with row 3 of `facts`, and 5 were written"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_log_from_before_there_was_a_chain_is_read_and_goes_on_with_one() {
    let scratch = unguarded().await;
    let old = "UPDATE facts SET chain = NULL; UPDATE log_end SET chain = NULL";
    file(&scratch).execute(old).await.expect("it is as it was");
    let stage = root().key;
    scratch.record([reached(stage, 2, 7), ended(stage, 2)]).await;
    assert_eq!(scratch.store.facts().await.expect("it is sound").len(), 7);
    assert_eq!(scratch.store.check_log().await.expect("it is sound"), LogCheck { rows: 7, unchained: 5 });
    file(&scratch).execute("UPDATE facts SET at_ms = 0 WHERE sequence = 6").await.expect("it is done");
    let error = scratch.store.facts().await.expect_err("the log is damaged");
    assert!(matches!(error, StoreError::LogChain { sequence: 6 }), "{error:?}");
}

#[tokio::test]
async fn the_log_cannot_be_changed_by_mistake() {
    let scratch = Scratch::sqlite().await;
    scratch.start_a_stage().await;
    for sql in ["UPDATE facts SET at_ms = 0", "DELETE FROM facts"] {
        let refused = file(&scratch).execute(sql).await.expect_err("it is guarded");
        assert!(refused.to_string().contains("facts are appended"), "{refused}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let scratch = Scratch::sqlite().await;
    scratch.start_a_stage().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'of the future', TRUE, x'00', 0)";
    file(&scratch).execute(newer).await.expect("it is done");
    scratch.store.close().await;
    let error = SqliteStore::open(&file(&scratch).path()).await.expect_err("it is from the future");
    assert!(matches!(error, StoreError::Newer { found: 9000, .. }), "{error:?}");
    assert!(error.to_string().contains("written by a newer version"), "{error}");
    assert_eq!(file(&scratch).count("facts").await, 2);
}

#[tokio::test]
async fn a_store_with_another_schema_under_the_same_number_is_refused() {
    let scratch = Scratch::sqlite().await;
    file(&scratch).execute("UPDATE _sqlx_migrations SET checksum = x'00'").await.expect("it is done");
    scratch.store.close().await;
    let error = SqliteStore::open(&file(&scratch).path()).await.expect_err("it is of another build");
    assert!(matches!(error, StoreError::OtherSchema { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.sqlite");
    let text =
        "a recipe, or anything else that is longer than the header of a database, which has 100 bytes ".repeat(9);
    std::fs::write(&path, &text).expect("it is written");
    let error = SqliteStore::open(&path).await.expect_err("it is not a database");
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);

    let error = SqliteStore::open(dir.path()).await.expect_err("it is a directory");
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

#[tokio::test]
async fn tables_that_are_not_what_the_log_says_are_named_and_written_anew() {
    let scratch = Scratch::sqlite().await;
    let stage = scratch.start_a_stage().await;
    let mut commit = points(stage, 1, 0..10, 5.0);
    commit.facts = vec![reached(stage, 1, 10), removed(stage, 10), reached(stage, 1, 10), completed(stage, 1)];
    commit.checkpoints = vec![checkpoint(stage, 1, 10)];
    scratch.commit(commit).await;
    let sound = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert!(sound.wrong.is_empty() && sound.rows > 0, "{sound:?}");

    file(&scratch)
        .execute("UPDATE result_measurements SET value = 9; UPDATE stages SET end_step = 7")
        .await
        .expect("it is done");
    let DerivedCheck { wrong, .. } = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert_eq!(wrong, ["stages", "result_measurements"]);
    let DerivedCheck { wrong, .. } =
        scratch.store.check_derived(Differences::Rewrite(scratch.term)).await.expect("it can be written");
    assert_eq!(wrong, ["stages", "result_measurements"]);
    let DerivedCheck { wrong, .. } = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert!(wrong.is_empty());
    // What does not follow from the log alone is as it was.
    assert_eq!(scratch.steps(stage).await.len(), 10);
    assert_eq!(scratch.store.checkpoint(stage, 10).await.expect("it can be read"), Some(checkpoint(stage, 1, 10)));
}

#[tokio::test]
async fn the_doctor_names_the_row_at_which_the_log_is_damaged() {
    let damages = [
        ("UPDATE facts SET at_ms = at_ms + 1 WHERE sequence = 3", "row 3 of `facts` does not follow"),
        ("DELETE FROM facts WHERE sequence > 3", "ends with row 3 of `facts`, and 5 were written"),
        // Another log, sound in itself, is not the one whose end was noted.
        ("UPDATE log_end SET chain = (SELECT chain FROM facts WHERE sequence = 4)", "row 5 of `facts` does not follow"),
    ];
    for (sql, said) in damages {
        let scratch = unguarded().await;
        file(&scratch).execute(sql).await.expect("it is done");
        let data_dir = file(&scratch).path().parent().expect("a file is in a directory").to_owned();
        let options = DoctorOptions { data_dir, place: None, repair: true, min_age: Duration::ZERO };
        let diagnosis = coordinator::examine(&options).await.expect("it can be looked at");
        let last = diagnosis.checks.last().expect("something was looked at");
        assert_eq!(last.name, "log", "what rests on it is not looked at");
        assert!(last.problems[0].what.contains(said) && !last.problems[0].repaired, "{last:?}");
        assert!(!diagnosis.is_sound());
    }
}
