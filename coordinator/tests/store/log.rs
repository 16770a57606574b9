//! The log, and the commits it is written by.

use coordinator::store::{Commit, StoreError};
use scheduler::Fact;
use vocabulary::StageKey;

use crate::scratch::{
    AT_MS, Scratch, checkpoint, completed, conforming, ended, plan, points, reached, root, started, token, worker,
};

conforming! {
    a_log_is_read_back_as_it_was_written,
    a_commit_that_fails_leaves_nothing,
    a_store_that_somebody_else_writes_to_is_waited_for,
    a_whole_life_fits_the_tables,
}

async fn a_log_is_read_back_as_it_was_written(scratch: Scratch) {
    let stage = root().key;
    let first = vec![Fact::CampaignAccepted { plan: plan() }, started(stage, 1)];
    let second = vec![ended(stage, 1), started(stage, 2), reached(stage, 2, 10)];
    assert_eq!(scratch.store.facts().await.expect("it is sound"), [], "a new store has none");
    scratch.record(first.clone()).await;
    scratch.record(second.clone()).await;

    let all = [first, second].concat();
    assert_eq!(scratch.store.facts().await.expect("it is sound"), all);
    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.facts().await.expect("it is sound"), all);
    if let Some(file) = scratch.file() {
        assert_eq!(file.select::<(i64,)>("SELECT DISTINCT at_ms FROM facts").await, [(AT_MS as i64,)]);
    }
}

async fn a_commit_that_fails_leaves_nothing(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let before = scratch.store.facts().await.expect("it is sound");
    let mut commit = points(stage, 1, 0..10, 5.0);
    commit.facts = vec![reached(stage, 1, 10)];
    commit.session = vec![(worker(), 3)];
    // Nobody ever tried this stage.
    commit.checkpoints = vec![checkpoint(StageKey::from_content(b"another"), 1, 10)];
    let refused = scratch.try_commit(&commit).await.expect_err("the index refuses it");
    assert!(matches!(refused, StoreError::Write { .. } | StoreError::Commit(_)), "{refused:?}");
    assert!(!refused.is_retryable());

    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.facts().await.expect("it is sound"), before);
    assert_eq!(scratch.steps(stage).await, [0; 0]);
    assert_eq!(scratch.store.last_sequence(worker()).await.expect("it can be read"), None);
}

async fn a_store_that_somebody_else_writes_to_is_waited_for(scratch: Scratch) {
    // As `windtunnel token` does beside a coordinator.
    let other = scratch.open_beside().await;
    let commits = async {
        for sequence in 1..=20 {
            scratch.commit(Commit { session: vec![(worker(), sequence)], ..Commit::default() }).await;
        }
    };
    let tokens = async {
        for number in 0..20 {
            other.add_token(&token(number)).await.expect("it waits for its turn");
        }
    };
    tokio::join!(commits, tokens);
    assert_eq!(scratch.store.last_sequence(worker()).await.expect("it can be read"), Some(20));
    assert_eq!(scratch.store.tokens().await.expect("they can be read").len(), 20);
    other.close().await;
}

async fn a_whole_life_fits_the_tables(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let end = root().spec.steps.end;
    let mut commit = points(stage, 1, 0..end, 5.0);
    commit.facts = vec![reached(stage, 1, end), completed(stage, 1)];
    commit.checkpoints = vec![checkpoint(stage, 1, end)];
    scratch.commit(commit).await;
    assert_eq!(scratch.steps(stage).await, (0..end).collect::<Vec<_>>());
}
