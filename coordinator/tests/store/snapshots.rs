//! The ledger beside the log.

use coordinator::store::{PackedSnapshot, UnusableSnapshot};
use scheduler::{Scheduler, Settings, Timestamp};

use crate::scratch::{AT_MS, Scratch, conforming, ended, reached, started};

conforming! {
    a_snapshot_and_the_facts_after_it_are_the_whole_log,
    two_snapshots_are_kept,
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
