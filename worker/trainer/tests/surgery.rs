//! Surgeries: that a model computes what it is said to compute after one, and that it is done once.

mod toy;

use minicpm::Compute;
use trainer::{Inference, OperationError, Origin, Snapshot, StageRun, StartError, StepReport};
use vocabulary::metrics::GRADIENT_COSINE;
use vocabulary::{ModelSpec, Recording, StageSpec, StartSpec, Surgery, SurgeryError, TensorProgram};

/// Twelve steps of a tied model that is twice as wide as its base, so that scalings do something to its logits.
fn trunk() -> StageSpec {
    let mut spec = toy::spec();
    spec.model.tensor_program = TensorProgram { d_base: 16, ..TensorProgram::PAPER };
    StageSpec { steps: 0..12, ..spec }
}

/// Eight more steps, with a head of its own.
fn untied() -> StageSpec {
    let trunk = trunk();
    let start = StartSpec { surgery: vec![Surgery::Untie], ..trunk.start.clone() };
    StageSpec { model: start.model(&trunk.model).expect("it is tied"), start, steps: 12..20, ..trunk }
}

fn compute(threads: usize) -> Compute {
    Compute::parse("flex", threads).expect("the CPU is always there")
}

fn start(spec: &StageSpec, origin: Origin<'_>) -> StageRun {
    StageRun::new(spec, toy::dataset(), &compute(1), origin).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

/// A checkpoint as it comes back from a disk.
fn stored(snapshot: &Snapshot) -> Snapshot {
    Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes")
}

/// The trunk's last checkpoint.
fn parent(spec: &StageSpec) -> Snapshot {
    let mut run = start(spec, Origin::Initial);
    finish(&mut run);
    stored(&run.snapshot())
}

fn logits(snapshot: &Snapshot) -> Vec<u32> {
    let tokens: Vec<i64> = (0..16).map(|index| index * 37 % 300).collect();
    let model = Inference::load(snapshot, 16, &compute(1)).expect("loads");
    model.logits(&tokens).expect("computes").into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_model_that_is_untied_computes_what_it_did_to_the_bit() {
    let parent = parent(&trunk());
    let mut tied = start(&StageSpec { steps: 12..20, ..trunk() }, Origin::Parent(&parent));
    let mut untied = start(&untied(), Origin::Parent(&parent));
    assert_eq!(untied.validate().expect("validates"), tied.validate().expect("validates"));
    let before = untied.snapshot();
    assert_eq!(logits(&before), logits(&parent));
    assert_eq!(before.weights()["head"], parent.weights()["embedding"]);

    // The first step has the loss of the tied model's. What the head's gradient was is the head's now, and no more the
    // embedding's; after the update they are two matrices.
    let gradients = [&tied, &untied].map(|run| run.gradients().expect("has a step"));
    let sum = gradients[1]["embedding"].values.iter().zip(&gradients[1]["head"].values).map(|(a, b)| a + b);
    for (sum, tied) in sum.zip(&gradients[0]["embedding"].values) {
        assert!((sum - tied).abs() < 1e-6, "{sum} and {tied}");
    }
    let [loss, expected] = [&mut untied, &mut tied].map(|run| run.next_step().expect("steps").loss.to_bits());
    assert_eq!(loss, expected);
    let after = untied.snapshot();
    assert_ne!(after.weights()["head"], after.weights()["embedding"]);
    let steps = finish(&mut untied);
    let mean = steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
    assert!(mean < f64::from_bits(expected), "it keeps learning: {steps:?}");
}

/// Moments of zero would make the first updates too long.
#[test]
fn moments_are_kept_so_that_the_first_update_is_no_longer_than_the_last() {
    let parent = parent(&trunk());
    let step_of = |spec: &StageSpec| {
        let mut run = start(spec, Origin::Parent(&parent));
        let before = run.snapshot();
        run.next_step().expect("steps");
        let after = run.snapshot();
        let pairs = |name: &str| {
            let values = before.weights()[name].values.iter().zip(&after.weights()[name].values);
            values.map(|(before, after)| f64::from(after - before).powi(2)).sum::<f64>().sqrt()
        };
        ["embedding", "head"].map(|name| after.weights().contains_key(name).then(|| pairs(name)))
    };
    let [tied, none] = step_of(&StageSpec { steps: 12..20, ..trunk() });
    let [embedding, head] = step_of(&untied());
    assert_eq!(none, None);
    for (name, length) in [("embedding", embedding), ("head", head)] {
        let ratio = length.expect("is there") / tied.expect("is there");
        assert!((0.5..1.5).contains(&ratio), "{name}: {ratio} times as long");
    }
}

#[test]
fn a_stage_with_surgery_that_is_cut_goes_on_bit_for_bit_and_is_operated_on_once() {
    for recording in [None, Some(Recording::Dynamics)] {
        let parent = parent(&StageSpec { recording, ..trunk() });
        let spec = StageSpec { recording, ..untied() };
        let mut undisturbed = start(&spec, Origin::Parent(&parent));
        let steps = finish(&mut undisturbed);
        if recording.is_some() {
            let compared = |step: &StepReport| step.measurements.get(GRADIENT_COSINE).is_some();
            assert!(!compared(&steps[0]) && compared(&steps[1]), "the first step is compared with nothing");
        }
        let mut again = Vec::new();
        let mut origin = Origin::Parent(&parent);
        let mut last;
        loop {
            let mut run = start(&spec, origin);
            again.extend((0..3).map_while(|_| (!run.is_finished()).then(|| run.next_step().expect("steps"))));
            last = stored(&run.snapshot());
            if run.is_finished() {
                break;
            }
            origin = Origin::Own(&last);
        }
        assert_eq!(again, steps);
        assert_eq!(last, stored(&undisturbed.snapshot()));
    }
}

#[test]
fn a_head_that_is_untied_is_not_untied_again() {
    let trunk = StageSpec { model: ModelSpec { tied: false, ..trunk().model }, ..trunk() };
    let mut parent = parent(&trunk);
    let refused = |parent: &Snapshot| {
        StageRun::new(&untied(), toy::dataset(), &compute(1), Origin::Parent(parent)).expect_err("it is untied")
    };
    let error = refused(&parent);
    assert!(
        matches!(error, StartError::Surgery(OperationError { source: SurgeryError::AlreadyUntied, .. })),
        "{error}"
    );
    // A checkpoint that does not say which model it is of is known by its tensors.
    parent.description = None;
    assert!(matches!(refused(&parent), StartError::Surgery(_)));
}

#[test]
fn a_parent_of_another_model_is_refused_as_without_surgery() {
    let mut other = trunk();
    other.model.tensor_program.scale_depth = 1.5;
    let error = StageRun::new(&untied(), toy::dataset(), &compute(1), Origin::Parent(&parent(&other)))
        .expect_err("another model")
        .to_string();
    assert!(error.contains("tensor_program.scale_depth"), "{error}");
}
