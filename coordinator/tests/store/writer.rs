//! One writer: whoever takes a store over, and what becomes of the one before.

use coordinator::store::{Commit, Differences, PackedSnapshot, Speaker, StoreError};
use scheduler::{Scheduler, Settings, Timestamp};

use crate::scratch::{AT_MS, Scratch, checkpoint, conforming, ended, points, reached, started, token, worker};

conforming! {
    a_second_writer_ends_the_term_of_the_first,
    whoever_was_deposed_writes_nothing_at_all,
    terms_go_on_after_a_restart,
    readers_and_tokens_need_no_term,
}

async fn a_second_writer_ends_the_term_of_the_first(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let other = scratch.open_beside().await;
    scratch.record([reached(stage, 1, 4)]).await;

    let next = other.begin_term().await.expect("it begins");
    assert!(next > scratch.term);
    let seen = other.facts().await.expect("it is sound");
    let error = scratch.try_commit(&points(stage, 1, 0..4, 5.0)).await.expect_err("it was deposed");
    assert!(
        matches!(error, StoreError::Deposed { term, current } if term == scratch.term && current == next),
        "{error:?}"
    );
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("another coordinator has taken over this store"), "{error}");

    let facts = vec![ended(stage, 1), started(stage, 2)];
    other.commit(next, &Commit { facts: facts.clone(), ..Commit::default() }).await.expect("it is the writer");
    assert_eq!(other.facts().await.expect("it is sound"), [seen, facts].concat());
    other.close().await;
}

async fn whoever_was_deposed_writes_nothing_at_all(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let facts = scratch.store.facts().await.expect("it is sound");
    let other = scratch.open_beside().await;
    other.begin_term().await.expect("it begins");

    let mut commit = points(stage, 1, 0..4, 5.0);
    commit.facts = vec![reached(stage, 1, 4)];
    commit.checkpoints = vec![checkpoint(stage, 1, 4)];
    commit.session = vec![(worker(), 3)];
    commit.speakers = vec![(worker(), Speaker { token: Some("a token".to_owned()), secret_hash: None })];
    scratch.try_commit(&commit).await.expect_err("it was deposed");
    // Also where no fact is in it, so that the log stays as it is.
    scratch
        .try_commit(&Commit { session: vec![(worker(), 3)], ..Commit::default() })
        .await
        .expect_err("it was deposed");
    let scheduler = Scheduler::restore(Settings::default(), Timestamp(0), facts.clone()).expect("it is sound");
    let packed = PackedSnapshot::pack(&scheduler.snapshot());
    scratch.store.save_snapshot(scratch.term, 2, AT_MS, &packed).await.expect_err("it was deposed");
    scratch.store.check_derived(Differences::Rewrite(scratch.term)).await.expect_err("it was deposed");

    assert_eq!(other.facts().await.expect("it is sound"), facts);
    assert_eq!(other.curve(stage, 0, usize::MAX).await.expect("it can be read"), []);
    assert_eq!(other.checkpoints().await.expect("they can be read"), []);
    assert_eq!(other.last_sequence(worker()).await.expect("it can be read"), None);
    assert_eq!(other.speaker(worker()).await.expect("it can be read"), Speaker::default());
    assert_eq!(other.snapshots().await.expect("they can be read").len(), 0);
    other.close().await;
}

async fn terms_go_on_after_a_restart(scratch: Scratch) {
    let before = scratch.term;
    let scratch = scratch.reopen().await;
    assert!(scratch.term > before);
    scratch.start_a_stage().await;
    scratch.store.commit(before, &Commit::default()).await.expect_err("its time is over");
}

async fn readers_and_tokens_need_no_term(scratch: Scratch) {
    scratch.start_a_stage().await;
    let other = scratch.open_beside().await;
    other.add_token(&token(1)).await.expect("it is written");
    assert_eq!(other.facts().await.expect("it is sound").len(), 2);
    scratch.commit(Commit { session: vec![(worker(), 1)], ..Commit::default() }).await;
    other.close().await;
}
