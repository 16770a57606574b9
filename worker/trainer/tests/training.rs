//! Stages in training: that they learn, and that the same stage is the same run, however it is cut.

mod toy;

use minicpm::Compute;
use trainer::{Origin, Snapshot, StageRun, StartError, StepError, StepReport, Validation};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{DecayShape, LrSchedule, StageSpec};

fn compute(threads: usize) -> Compute {
    Compute::parse("flex", threads).expect("the CPU is always there")
}

fn start(spec: &StageSpec, from: Origin<'_>, threads: usize) -> StageRun {
    StageRun::new(spec, toy::dataset(), &compute(threads), from).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

/// A checkpoint as it comes back from a disk.
fn stored(snapshot: &Snapshot) -> Snapshot {
    Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes")
}

#[test]
fn the_first_loss_is_about_that_of_guessing() {
    let spec = toy::spec();
    let first = start(&spec, Origin::Initial, 1).next_step().expect("steps");
    let guessing = f64::from(spec.model.vocab).ln();
    assert!((first.loss - guessing).abs() < 0.5, "{} against ln(vocab) = {guessing}", first.loss);
    assert_eq!((first.step, first.tokens), (0, 8 * 16));
}

#[test]
fn it_learns() {
    let spec = StageSpec { steps: 0..60, ..toy::spec() };
    let mut run = start(&spec, Origin::Initial, 1);
    let before = run.validate().expect("validates");
    let steps = finish(&mut run);
    let after = run.validate().expect("validates");
    assert_eq!(steps.len(), 60);
    assert!(steps.iter().all(|step| step.loss.is_finite() && step.grad_norm > 0.0));
    let loss = |of: &Validation| of.measurements.get(VALIDATION_LOSS).expect("it is measured");
    assert!(loss(&after) < loss(&before) - 0.5, "{} after {}", loss(&after), loss(&before));
    assert!(matches!(run.next_step(), Err(StepError::Finished { end: 60 })));
    let per_byte = after.measurements.get(VALIDATION_LOSS_PER_BYTE).expect("it is measured");
    let per_token = per_byte * after.bytes as f64 / after.tokens as f64;
    assert!((per_token - loss(&after)).abs() < 1e-12);
}

#[test]
fn the_learning_rate_is_that_of_the_spec() {
    let spec = toy::spec();
    for step in finish(&mut start(&spec, Origin::Initial, 1)) {
        assert_eq!(step.learning_rate, spec.learning_rate(step.step));
    }
}

#[test]
fn a_run_that_was_cut_goes_on_bit_for_bit() {
    let spec = toy::spec();
    let mut whole = start(&spec, Origin::Initial, 1);
    let expected = finish(&mut whole);
    for cut in [0, 1, 7, spec.steps.end as usize] {
        let mut first = start(&spec, Origin::Initial, 1);
        let mut steps: Vec<_> = (0..cut).map(|_| first.next_step().expect("steps")).collect();
        let snapshot = stored(&first.snapshot());
        assert_eq!(snapshot.step, cut as u64);
        let mut second = start(&spec, Origin::Own(&snapshot), 1);
        steps.extend(finish(&mut second));
        assert_eq!(steps, expected, "cut after {cut} steps");
        assert_eq!(second.snapshot(), whole.snapshot(), "cut after {cut} steps");
        assert_eq!(second.validate().expect("validates"), whole.validate().expect("validates"));
    }
}

#[test]
fn a_trunk_and_its_branch_are_the_run_they_are_parts_of() {
    let schedule =
        LrSchedule::Wsd { warmup_steps: 3, decay_start: 12, decay_steps: 4, decay: DecayShape::Linear, floor: 0.1 };
    let whole = StageSpec { schedule, ..toy::spec() };
    let trunk = StageSpec { steps: 0..12, schedule: LrSchedule::Constant { warmup_steps: 3 }, ..whole.clone() };
    let branch = StageSpec { steps: 12..16, ..whole.clone() };
    let mut expected = start(&whole, Origin::Initial, 1);
    finish(&mut expected);
    let mut run = start(&trunk, Origin::Initial, 1);
    finish(&mut run);
    let mut run = start(&branch, Origin::Parent(&stored(&run.snapshot())), 1);
    finish(&mut run);
    assert_eq!(run.snapshot(), expected.snapshot());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let spec = toy::spec();
    let run = |threads| {
        let mut run = start(&spec, Origin::Initial, threads);
        (finish(&mut run), run.snapshot())
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let spec = toy::spec();
    let mut parts = spec.clone();
    parts.batch.micro_sequences = 3; // 3 + 3 + 2
    let whole = start(&spec, Origin::Initial, 1).next_step().expect("steps");
    let parts = start(&parts, Origin::Initial, 1).next_step().expect("steps");
    assert!((whole.loss - parts.loss).abs() < 1e-5, "{} against {}", whole.loss, parts.loss);
    assert!((whole.grad_norm / parts.grad_norm - 1.0).abs() < 1e-4, "{} against {}", whole.grad_norm, parts.grad_norm);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |spec: &StageSpec, from: Origin<'_>| {
        StageRun::new(spec, toy::dataset(), &compute(1), from).expect_err("does not fit")
    };
    let spec = toy::spec();
    let mut snapshot = start(&spec, Origin::Initial, 1).snapshot();

    let mut other = spec.clone();
    other.model.vocab += 1;
    assert!(matches!(refused(&other, Origin::Initial), StartError::Vocabulary { .. }));
    let other = StageSpec { numerics_version: 99, ..spec.clone() };
    assert!(matches!(refused(&other, Origin::Initial), StartError::Numerics { planned: 99 }));
    let other = StageSpec { steps: 4..16, ..spec.clone() };
    assert!(matches!(refused(&other, Origin::Initial), StartError::NoParent { start: 4 }));
    for origin in [Origin::Parent(&snapshot), Origin::Own(&snapshot)] {
        assert!(matches!(refused(&other, origin), StartError::Step { found: 0, start: 4, .. }));
    }
    let mut other = spec.clone();
    other.model.tensor_program.scale_depth = 1.5;
    other.model.shape.d_ff += 8;
    let error = refused(&other, Origin::Own(&snapshot)).to_string();
    let expected = "shape.d_ff: expected 88, found 80; tensor_program.scale_depth: expected 1.5, found 1.4";
    assert!(error.ends_with(expected), "{error}");

    // Weights that do not say what they are of are known by their shapes.
    snapshot.description = None;
    let mut wider = spec.clone();
    wider.model.shape.d_ff += 8;
    let error = refused(&wider, Origin::Own(&snapshot)).to_string();
    assert!(error.contains("blocks.0.mlp"), "{error}");
    let mut shallower = spec;
    shallower.model.shape.n_layers = 1;
    let error = refused(&shallower, Origin::Own(&snapshot)).to_string();
    assert!(error.contains("blocks.1."), "{error}");
}

#[test]
fn a_loss_that_leaves_all_bounds_is_reported_and_not_hidden() {
    let spec = StageSpec { peak_lr: 1e30, steps: 0..8, ..toy::spec() };
    let steps = finish(&mut start(&spec, Origin::Initial, 1));
    assert!(steps.iter().any(|step| !step.loss.is_finite()), "{steps:?}");
}
