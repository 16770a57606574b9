//! The ledger beside the log.

use std::time::Duration;

use coordinator::DoctorOptions;
use coordinator::store::{PackedSnapshot, UnusableSnapshot};
use scheduler::{Scheduler, Settings, Timestamp};

use crate::scratch::{AT_MS, Scratch, conforming, ended, reached, started};

async fn a_snapshot_is_deleted_in_the_current_term_alone(scratch: Scratch) {
    let scratch = with_two_snapshots(scratch).await;
    let left = async |scratch: &Scratch| scratch.store.snapshots().await.expect("they can be read").len();
    scratch.store.delete_snapshot(scratch.term, 7).await.expect("there is nothing to delete");
    scratch.store.delete_snapshot(scratch.term, 4).await.expect("it is deleted");
    assert_eq!(left(&scratch).await, 1);
    scratch.store.begin_term().await.expect("it begins");
    scratch.store.delete_snapshot(scratch.term, 2).await.expect_err("another writer has begun");
    assert_eq!(left(&scratch).await, 1);
}

/// Its checksum is that of what it holds now, so a start would use it.
#[tokio::test]
async fn the_doctor_compares_snapshots_with_the_log_and_says_what_it_does_not_check() {
    let scratch = with_two_snapshots(Scratch::sqlite().await).await;
    let file = scratch.file().expect("it is a file");
    let data_dir = file.path().parent().expect("a file is in a directory").to_owned();
    let other = {
        let scheduler = restored(&scratch).await;
        let text = serde_json::to_string(&scheduler.snapshot()).expect("a snapshot has a JSON form");
        text.replacen("\"not_started\":0", "\"not_started\":4", 1)
    };
    let packed = serde_json::from_str(&other).map(|snapshot| PackedSnapshot::pack(&snapshot)).expect("it is one");
    scratch.store.save_snapshot(scratch.term, 4, AT_MS, &packed).await.expect("it is written");
    // What no hash is of.
    file.execute("UPDATE curve_points SET loss = 1; UPDATE recipes SET text = ''").await.expect("it is done");
    let examine = async |repair| {
        let options = DoctorOptions { data_dir: data_dir.clone(), place: None, repair, min_age: Duration::ZERO };
        coordinator::examine(&options).await.expect("it can be looked at")
    };
    let problems = |found: &coordinator::Diagnosis| {
        let snapshots = found.checks.iter().find(|check| check.name == "snapshots").expect("they are looked at");
        assert_eq!(snapshots.looked_at, 2);
        snapshots.problems.iter().map(|problem| problem.what.clone()).collect::<Vec<_>>()
    };
    let damaged = ["the snapshot of the ledger after row 4 is damaged: it is not what the log says"];
    let found = examine(false).await;
    assert_eq!(problems(&found), damaged);
    assert!(!found.is_sound());
    for part in ["the values of curves", "the text of recipes"] {
        assert!(found.not_checked.iter().any(|what| what.starts_with(part)), "{:?}", found.not_checked);
    }
    assert_eq!(problems(&examine(true).await), damaged);
    let left = examine(false).await;
    assert!(left.checks.iter().all(|check| check.name != "snapshots" || check.problems.is_empty()), "{left:?}");
}

conforming! {
    a_snapshot_and_the_facts_after_it_are_the_whole_log,
    two_snapshots_are_kept,
    a_snapshot_is_deleted_in_the_current_term_alone,
}

async fn restored(scratch: &Scratch) -> Scheduler {
    let facts = scratch.store.facts().await.expect("the log is sound");
    Scheduler::restore(Settings::default(), Timestamp(0), facts).expect("it can be read")
}

/// A log of four rows, with a snapshot after the second and after the fourth.
async fn with_two_snapshots(scratch: Scratch) -> Scratch {
    let stage = scratch.start_a_stage().await;
    for facts in [vec![], vec![reached(stage, 1, 5), ended(stage, 1)]] {
        scratch.record(facts).await;
        let scheduler = restored(&scratch).await;
        let rows = scratch.store.facts().await.expect("the log is sound").len() as u64;
        let packed = PackedSnapshot::pack(&scheduler.snapshot());
        scratch.store.save_snapshot(scratch.term, rows, AT_MS, &packed).await.expect("it is written");
    }
    scratch
}

async fn a_snapshot_and_the_facts_after_it_are_the_whole_log(scratch: Scratch) {
    let (scratch, stage) = (with_two_snapshots(scratch).await, crate::scratch::root().key);
    scratch.record([started(stage, 2), reached(stage, 2, 9)]).await;
    let scratch = scratch.reopen().await;
    let snapshots = scratch.store.snapshots().await.expect("they can be read");
    assert_eq!(snapshots.iter().map(|(position, _)| position.sequence).collect::<Vec<_>>(), [4, 2]);
    for (position, snapshot) in snapshots {
        let facts = scratch.store.facts_after(position).await.expect("the log is sound");
        assert_eq!(facts.len() as u64, 6 - position.sequence);
        let snapshot = snapshot.expect("it is sound");
        let scheduler =
            Scheduler::restore_from(Settings::default(), Timestamp(0), snapshot, facts).expect("it is sound");
        assert_eq!(scheduler.ledger(), restored(&scratch).await.ledger());
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_says_why_and_the_one_before_it_can() {
    type Is = fn(&UnusableSnapshot) -> bool;
    let damages: [(&str, Is); 5] = [
        ("UPDATE snapshots SET ledger = substr(ledger, 1, 100) WHERE sequence = 4", |it| {
            matches!(it, UnusableSnapshot::Checksum)
        }),
        ("UPDATE snapshots SET checksum = x'00' WHERE sequence = 4", |it| matches!(it, UnusableSnapshot::Checksum)),
        ("UPDATE snapshots SET version = 0 WHERE sequence = 4", |it| {
            matches!(it, UnusableSnapshot::Version { found: 0 })
        }),
        ("UPDATE snapshots SET chain = zeroblob(32) WHERE sequence = 4", |it| matches!(it, UnusableSnapshot::OtherLog)),
        ("UPDATE snapshots SET sequence = 9 WHERE sequence = 4", |it| matches!(it, UnusableSnapshot::OtherLog)),
    ];
    for (sql, is_it) in damages {
        let scratch = with_two_snapshots(Scratch::sqlite().await).await;
        scratch.file().expect("it is one").execute(sql).await.expect("it is done");
        let snapshots = scratch.store.snapshots().await.expect("they can be read");
        let error = snapshots[0].1.as_ref().expect_err("it is damaged");
        assert!(is_it(error), "{sql}: {error}");
        assert!(snapshots[1].1.is_ok(), "{sql}");
    }
}

async fn two_snapshots_are_kept(scratch: Scratch) {
    let (scratch, stage) = (with_two_snapshots(scratch).await, crate::scratch::root().key);
    scratch.record([started(stage, 2)]).await;
    let packed = PackedSnapshot::pack(&restored(&scratch).await.snapshot());
    scratch.store.save_snapshot(scratch.term, 5, AT_MS, &packed).await.expect("it is written");
    let kept = scratch.store.snapshots().await.expect("they can be read");
    assert_eq!(kept.iter().map(|(position, _)| position.sequence).collect::<Vec<_>>(), [5, 4]);
    if let Some(file) = scratch.file() {
        assert_eq!(file.select::<(i64,)>("SELECT sequence FROM snapshots ORDER BY 1").await, [(4,), (5,)]);
    }
}
