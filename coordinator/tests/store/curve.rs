//! Curves: each step once, and none beyond the checkpoint that an attempt starts from.

use vocabulary::{Attempt, AttemptKey, Consecutive, Dynamics, LargestUpdates};

use crate::scratch::{Scratch, checkpoint, completed, conforming, ended, point, points, reached, removed, started};
use coordinator::store::{Commit, CurvePoint};
use scheduler::Fact;

conforming! {
    the_first_row_of_a_step_stays,
    an_attempt_starts_with_the_curve_up_to_its_checkpoint,
    a_checkpoint_of_the_same_commit_is_what_an_attempt_starts_from,
    points_of_the_commit_that_starts_an_attempt_come_after_the_cut,
    what_is_no_number_comes_back_as_it_was,
    what_a_step_recorded_comes_back_as_it_was_and_goes_with_its_point,
    a_commit_may_be_larger_than_a_statement,
    without_its_last_checkpoint_an_attempt_starts_with_the_curve_up_to_the_one_before,
    a_stage_that_is_trained_again_keeps_its_curve_and_its_first_result,
    a_curve_is_read_in_runs_that_meet,
}

async fn the_first_row_of_a_step_stays(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..3, 5.0)).await;
    scratch.commit(points(stage, 1, 1..5, 6.0)).await;
    let twice = vec![(AttemptKey { stage, attempt: Attempt(1) }, vec![point(5, 7.0), point(5, 8.0)])];
    scratch.commit(Commit { curve: twice, ..Commit::default() }).await;

    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    let expected = [(0, 5.0), (1, 5.0), (2, 5.0), (3, 6.0), (4, 6.0), (5, 7.0)].map(|(step, loss)| point(step, loss));
    assert_eq!(curve, expected, "bit for bit, in order");
}

async fn an_attempt_starts_with_the_curve_up_to_its_checkpoint(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..10, 5.0)).await;

    // None is committed: it starts from the beginning.
    scratch.record([ended(stage, 1), started(stage, 2)]).await;
    assert_eq!(scratch.steps(stage).await, [0; 0]);

    let mut commit = points(stage, 2, 0..10, 5.0);
    commit.facts = vec![reached(stage, 2, 4)];
    commit.checkpoints = vec![checkpoint(stage, 2, 4)];
    scratch.commit(commit).await;
    assert_eq!(scratch.steps(stage).await.len(), 10, "a checkpoint alone cuts nothing");
    scratch.record([ended(stage, 2), started(stage, 3)]).await;
    assert_eq!(scratch.steps(stage).await, [0, 1, 2, 3]);
}

async fn a_checkpoint_of_the_same_commit_is_what_an_attempt_starts_from(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..10, 5.0)).await;
    let mut commit = points(stage, 1, 4..7, 6.0);
    commit.facts = vec![reached(stage, 1, 4), reached(stage, 1, 7), ended(stage, 1), started(stage, 2)];
    commit.checkpoints = vec![checkpoint(stage, 1, 4), checkpoint(stage, 1, 7)];
    scratch.commit(commit).await;
    assert_eq!(scratch.steps(stage).await, [0, 1, 2, 3, 4, 5, 6]);
    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    assert!(curve.iter().all(|point| point.loss == 5.0), "rows before the checkpoint stay as they are");
}

async fn points_of_the_commit_that_starts_an_attempt_come_after_the_cut(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..10, 5.0)).await;
    let mut commit = points(stage, 2, 0..2, 6.0);
    commit.facts = vec![ended(stage, 1), started(stage, 2)];
    scratch.commit(commit).await;
    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    assert_eq!(curve, [point(0, 6.0), point(1, 6.0)]);
}

async fn what_is_no_number_comes_back_as_it_was(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let losses = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324, 3.0, 0.1 + 0.2];
    let measured = (0..).zip(losses).map(|(step, loss)| {
        let mut point = point(step, loss);
        (point.grad_norm, point.learning_rate) = (loss, loss);
        point
    });
    let curve = vec![(AttemptKey { stage, attempt: Attempt(1) }, measured.collect())];
    scratch.commit(Commit { curve, ..Commit::default() }).await;

    let scratch = scratch.reopen().await;
    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    assert_eq!(curve.len(), losses.len());
    for (point, loss) in curve.iter().zip(losses) {
        for found in [point.loss, point.grad_norm, point.learning_rate] {
            assert!(found.to_bits() == loss.to_bits() || (found.is_nan() && loss.is_nan()), "{found} is not {loss}");
        }
    }
}

async fn what_a_step_recorded_comes_back_as_it_was_and_goes_with_its_point(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let consecutive = Consecutive { product: f64::NAN, cosine: -0.25, d1: f64::INFINITY, d2: 0.1 + 0.2 };
    let updates = [Some(1e-3), Some(5e-324), Some(3.0), None, Some(f64::INFINITY), Some(0.0), None];
    let first = Dynamics { largest_gradient: 0.5, consecutive: None, updates: LargestUpdates::new(updates) };
    let second = Dynamics { consecutive: Some(consecutive), ..first };
    let recorded = [None, Some(first), Some(second), None];
    let curve = (0..).zip(recorded).map(|(step, dynamics)| CurvePoint { dynamics, ..point(step, 5.0) }).collect();
    scratch
        .commit(Commit { curve: vec![(AttemptKey { stage, attempt: Attempt(1) }, curve)], ..Commit::default() })
        .await;
    // Again, with other values: the first row stays.
    let again = CurvePoint { dynamics: Some(Dynamics { largest_gradient: 9.0, ..first }), ..point(1, 6.0) };
    scratch
        .commit(Commit { curve: vec![(AttemptKey { stage, attempt: Attempt(1) }, vec![again])], ..Commit::default() })
        .await;

    let scratch = scratch.reopen().await;
    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    // As text, because NaN equals nothing.
    let text = |dynamics: Option<Dynamics>| format!("{dynamics:?}");
    assert_eq!(curve.iter().map(|point| text(point.dynamics)).collect::<Vec<_>>(), recorded.map(text));
    if let Some(file) = scratch.file() {
        assert_eq!(file.select::<(i64,)>("SELECT step FROM curve_dynamics ORDER BY step").await, [(1,), (2,)]);
    }

    scratch.record([reached(stage, 1, 2)]).await;
    let committed = Commit { checkpoints: vec![checkpoint(stage, 1, 2)], ..Commit::default() };
    scratch.commit(committed).await;
    scratch.record([ended(stage, 1), started(stage, 2)]).await;
    assert_eq!(scratch.steps(stage).await, [0, 1]);
    if let Some(file) = scratch.file() {
        assert_eq!(file.select::<(i64,)>("SELECT step FROM curve_dynamics").await, [(1,)], "it is cut with the curve");
    }
}

async fn a_commit_may_be_larger_than_a_statement(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..12_345, 5.0)).await;
    assert_eq!(scratch.steps(stage).await, (0..12_345).collect::<Vec<_>>());
}

async fn without_its_last_checkpoint_an_attempt_starts_with_the_curve_up_to_the_one_before(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let mut commit = points(stage, 1, 0..10, 5.0);
    commit.facts = vec![reached(stage, 1, 4), reached(stage, 1, 8)];
    commit.checkpoints = vec![checkpoint(stage, 1, 4), checkpoint(stage, 1, 8)];
    scratch.commit(commit).await;
    scratch.record([removed(stage, 8), ended(stage, 1), started(stage, 2)]).await;
    assert_eq!(scratch.steps(stage).await, [0, 1, 2, 3]);
    assert_eq!(scratch.store.checkpoint(stage, 8).await.expect("it can be read"), None);

    // Committed and removed in one transaction: it is not there afterwards, and nothing starts from it.
    let mut commit = points(stage, 2, 0..0, 5.0);
    commit.facts = vec![reached(stage, 2, 6), removed(stage, 6), removed(stage, 4), ended(stage, 2), started(stage, 3)];
    commit.checkpoints = vec![checkpoint(stage, 2, 6)];
    scratch.commit(commit).await;
    assert_eq!(scratch.store.last_checkpoint(stage).await.expect("it can be read"), None);
    assert_eq!(scratch.steps(stage).await, [0; 0]);

    // And committed again.
    scratch
        .commit(Commit {
            facts: vec![reached(stage, 3, 6)],
            checkpoints: vec![checkpoint(stage, 3, 6)],
            ..Commit::default()
        })
        .await;
    let again = scratch.store.last_checkpoint(stage).await.expect("it can be read");
    assert_eq!(again, Some(checkpoint(stage, 3, 6)));
}

async fn a_stage_that_is_trained_again_keeps_its_curve_and_its_first_result(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let mut commit = points(stage, 1, 0..10, 5.0);
    commit.facts = vec![reached(stage, 1, 10), completed(stage, 1)];
    commit.checkpoints = vec![checkpoint(stage, 1, 10)];
    scratch.commit(commit).await;
    scratch.record([removed(stage, 10), Fact::StageReopened { stage }, started(stage, 2)]).await;
    let mut commit = points(stage, 2, 0..10, 6.0);
    commit.facts = vec![reached(stage, 2, 10), completed(stage, 2)];
    commit.checkpoints = vec![checkpoint(stage, 2, 10)];
    scratch.commit(commit).await;
    let curve = scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read");
    assert_eq!(curve, (0..10).map(|step| point(step, 5.0)).collect::<Vec<_>>());
    if let Some(file) = scratch.file() {
        let results = file.select::<(i64, f64)>("SELECT attempt, validation_loss FROM results").await;
        assert_eq!(results, [(1, 3.25)]);
    }
}

async fn a_curve_is_read_in_runs_that_meet(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    scratch.commit(points(stage, 1, 0..5, 5.0)).await;
    let mut steps = Vec::new();
    for from in [0, 2, 4, 5] {
        let run = scratch.store.curve(stage, from, 2).await.expect("it can be read");
        steps.extend(run.iter().map(|point| point.step));
    }
    assert_eq!(steps, [0, 1, 2, 3, 4]);
}
