//! Curves: each step once, and none beyond the checkpoint that an attempt starts from.

use vocabulary::metrics::{D1, D2, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE, VALIDATION_LOSS};
use vocabulary::{Attempt, AttemptKey, DocumentLoss, MeasurementName, Measurements, Rows};

use crate::scratch::{Scratch, checkpoint, completed, conforming, ended, point, points, reached, removed, started};
use coordinator::store::{Commit, CurvePoint};
use scheduler::Fact;

conforming! {
    the_first_row_of_a_step_stays,
    an_attempt_starts_with_the_curve_up_to_its_checkpoint,
    a_checkpoint_of_the_same_commit_is_what_an_attempt_starts_from,
    points_of_the_commit_that_starts_an_attempt_come_after_the_cut,
    what_is_no_number_comes_back_as_it_was,
    what_a_step_measured_comes_back_as_it_was_and_goes_with_its_point,
    a_commit_may_be_larger_than_a_statement,
    a_commit_of_measurements_may_be_larger_than_a_statement,
    without_its_last_checkpoint_an_attempt_starts_with_the_curve_up_to_the_one_before,
    a_stage_that_is_trained_again_keeps_its_curve_and_its_first_result,
    a_curve_is_read_in_runs_that_meet,
    rows_behind_a_result_come_back_as_they_were_and_the_first_stay,
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

async fn what_a_step_measured_comes_back_as_it_was_and_goes_with_its_point(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let key = AttemptKey { stage, attempt: Attempt(1) };
    let first = Measurements::new()
        .with(LARGEST_GRADIENT, 0.5)
        .with(LARGEST_UPDATE.part("qkv"), 5e-324)
        .with(LARGEST_UPDATE.part("head"), f64::INFINITY);
    let second = first
        .clone()
        .with(GRADIENT_PRODUCT, f64::NAN)
        .with(D1, f64::NEG_INFINITY)
        .with(D2, 0.1 + 0.2)
        .with("a-metric.of/tomorrow".parse::<MeasurementName>().expect("a name"), -1.0);
    let recorded = [Measurements::new(), first.clone(), second.clone(), Measurements::new()];
    let with = |(step, measurements)| CurvePoint { measurements, ..point(step, 5.0) };
    let curve: Vec<_> = (0..).zip(recorded.clone()).map(with).collect();
    scratch.commit(Commit { curve: vec![(key, curve.clone())], ..Commit::default() }).await;
    // Again, with other values: the first row stays.
    let again = CurvePoint { measurements: first.with(LARGEST_GRADIENT, 9.0), ..point(1, 6.0) };
    scratch.commit(Commit { curve: vec![(key, vec![again])], ..Commit::default() }).await;

    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read"), curve);
    assert_eq!(scratch.store.curve(stage, 2, 1).await.expect("it can be read"), curve[2..3]);
    if let Some(file) = scratch.file() {
        assert_eq!(file.count("curve_measurements").await, (recorded[1].len() + recorded[2].len()) as i64);
    }

    scratch.record([reached(stage, 1, 2)]).await;
    let committed = Commit { checkpoints: vec![checkpoint(stage, 1, 2)], ..Commit::default() };
    scratch.commit(committed).await;
    scratch.record([ended(stage, 1), started(stage, 2)]).await;
    assert_eq!(scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read"), curve[..2]);
    if let Some(file) = scratch.file() {
        assert_eq!(file.count("curve_measurements").await, recorded[1].len() as i64, "they are cut with the curve");
    }
    // The steps that are trained again bring the same series.
    let rest =
        Commit { curve: vec![(AttemptKey { stage, attempt: Attempt(2) }, curve[2..].to_vec())], ..Commit::default() };
    scratch.commit(rest).await;
    assert_eq!(scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read"), curve);
}

async fn a_commit_of_measurements_may_be_larger_than_a_statement(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    let measured: Measurements = (0..20).map(|part| (LARGEST_UPDATE.part(part), f64::from(part))).collect();
    let curve: Vec<_> =
        (0..2_500).map(|step| CurvePoint { measurements: measured.clone(), ..point(step, 5.0) }).collect();
    scratch
        .commit(Commit { curve: vec![(AttemptKey { stage, attempt: Attempt(1) }, curve.clone())], ..Commit::default() })
        .await;
    assert_eq!(scratch.store.curve(stage, 0, usize::MAX).await.expect("it can be read"), curve);
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
        let results = "SELECT attempt, name, value FROM results JOIN result_measurements USING (stage)";
        let results = file.select::<(i64, String, f64)>(results).await;
        assert_eq!(results, [(1, "validation_loss".to_owned(), 3.25)]);
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

async fn rows_behind_a_result_come_back_as_they_were_and_the_first_stay(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    assert!(scratch.store.rows(stage).await.expect("they can be read").is_empty());
    let row = |nats: f64| DocumentLoss { nats, tokens: u64::from(u32::MAX) + 1, bytes: u64::MAX };
    let mut rows = Rows::new();
    rows.set(VALIDATION_LOSS.part(0), vec![row(0.1 + 0.2), row(f64::INFINITY), row(-0.0)]);
    rows.set(VALIDATION_LOSS.part(1), Vec::new());
    let commit = |attempt: u32, rows: &Rows| Commit {
        facts: vec![completed(stage, attempt)],
        rows: vec![(AttemptKey { stage, attempt: Attempt(attempt) }, rows.clone())],
        ..Commit::default()
    };
    scratch.record([reached(stage, 1, 10)]).await;
    scratch.commit(commit(1, &rows)).await;
    assert_eq!(scratch.store.rows(stage).await.expect("they can be read"), rows);
    // A stage that is trained again keeps the rows of its first result.
    scratch.record([removed(stage, 10), Fact::StageReopened { stage }, started(stage, 2), reached(stage, 2, 10)]).await;
    let mut others = Rows::new();
    others.set(VALIDATION_LOSS.part(0), vec![row(9.0)]);
    scratch.commit(commit(2, &others)).await;
    assert_eq!(scratch.store.rows(stage).await.expect("they can be read"), rows);
}
