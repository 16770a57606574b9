//! Evaluations: that they measure what the stage would have measured, to the bit.

mod toy;

use std::sync::Arc;

use minicpm::Compute;
use trainer::snapshot::WEIGHTS;
use trainer::{EvaluationRun, Interrupter, Origin, Snapshot, StageRun, StartError, Validation};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{
    DocumentLoss, EvaluationKind, EvaluationSpec, EvaluationTask, NUMERICS_VERSION, Precision, StageSpec,
};

fn compute(threads: usize) -> Compute {
    Compute::parse("flex", threads).expect("the CPU is always there")
}

/// A trained stage's checkpoint, as it comes back from a disk, and what the stage measured at its end.
fn trained(spec: &StageSpec) -> (Snapshot, Validation) {
    let mut run = StageRun::new(spec, toy::dataset(), &compute(1), Origin::Initial).expect("starts");
    while !run.is_finished() {
        run.next_step().expect("steps");
    }
    let snapshot = run.snapshot();
    let stored = Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes");
    (stored, run.validate().expect("validates"))
}

/// What the stage measures at its end, as an evaluation.
fn evaluation(spec: &StageSpec) -> EvaluationSpec {
    EvaluationSpec {
        model: spec.model,
        task: EvaluationTask {
            kind: EvaluationKind::HeldOutLoss,
            dataset: spec.data.dataset,
            tokens: spec.validation_tokens,
            context: spec.batch.context,
        },
        precision: spec.precision,
        numerics_version: NUMERICS_VERSION,
    }
}

#[test]
fn on_the_stages_own_text_it_is_the_stages_loss_to_the_bit() {
    let spec = toy::spec();
    let (snapshot, validation) = trained(&spec);
    for threads in [1, 3] {
        let run = EvaluationRun::new(&evaluation(&spec), toy::dataset(), &compute(threads), &snapshot).expect("fits");
        let measured = run.measure(&Interrupter::new()).expect("measures").expect("nobody stops it");
        assert_eq!(measured, validation, "{threads} threads");
    }
}

#[test]
fn the_documents_behind_the_loss_add_up_to_it() {
    let spec = toy::spec();
    let (_, validation) = trained(&spec);
    let rows = validation.rows.get(VALIDATION_LOSS).expect("the dataset knows its documents");
    let total = |of: fn(&DocumentLoss) -> u64| rows.iter().map(of).sum::<u64>();
    assert_eq!((total(|row| row.tokens), total(|row| row.bytes)), (validation.tokens, validation.bytes));
    let nats: f64 = rows.iter().map(|row| row.nats).sum();
    let loss = validation.measurements.get(VALIDATION_LOSS).expect("is measured");
    assert!((nats / validation.tokens as f64 / loss - 1.0).abs() < 1e-6, "{nats} over {loss}");
}

#[test]
fn it_needs_no_optimiser_state() {
    let spec = toy::spec();
    let (snapshot, validation) = trained(&spec);
    let blobs = snapshot.to_blobs().expect("encodes");
    let weights = blobs.iter().find(|blob| blob.name == WEIGHTS).expect("a checkpoint has weights");
    let weights_alone = Snapshot::from_weights(&weights.bytes).expect("decodes");
    let run = EvaluationRun::new(&evaluation(&spec), toy::dataset(), &compute(1), &weights_alone).expect("fits");
    assert_eq!(run.measure(&Interrupter::new()).expect("measures"), Some(validation));
}

#[test]
fn it_stops_when_it_is_told_to() {
    let spec = toy::spec();
    let (snapshot, _) = trained(&spec);
    let run = EvaluationRun::new(&evaluation(&spec), toy::dataset(), &compute(1), &snapshot).expect("fits");
    let interrupter = Interrupter::new();
    interrupter.stop(None);
    assert_eq!(run.measure(&interrupter).expect("nothing failed"), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let spec = toy::spec();
    let (snapshot, _) = trained(&spec);
    let sound = evaluation(&spec);
    let refusal = |spec: &EvaluationSpec| {
        let data = Arc::clone(&toy::dataset());
        EvaluationRun::new(spec, data, &compute(1), &snapshot).expect_err("does not fit")
    };
    let tokens = toy::dataset().dataset().validation_tokens + 1;
    let longer = EvaluationSpec { task: EvaluationTask { tokens, ..sound.task.clone() }, ..sound.clone() };
    assert!(matches!(refusal(&longer), StartError::Batch(_)));
    let later = EvaluationSpec { numerics_version: NUMERICS_VERSION + 1, ..sound.clone() };
    assert!(matches!(refusal(&later), StartError::Numerics { .. }));
    let mut other = sound.clone();
    other.model.shape.n_layers += 1;
    assert!(matches!(refusal(&other), StartError::Model { .. }));
    let half = EvaluationSpec { precision: Precision::Bf16, ..sound };
    assert_eq!(
        compute(1).supports(Precision::Bf16),
        EvaluationRun::new(&half, toy::dataset(), &compute(1), &snapshot).is_ok()
    );
}
