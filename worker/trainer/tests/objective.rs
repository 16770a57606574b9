//! Objectives of several terms: what is minimised is their sum, and what is reported is the next token's loss.

mod toy;

use minicpm::Compute;
use trainer::{Inference, Origin, Snapshot, StageRun, StepReport};
use vocabulary::{Objective, StageSpec, Term};

fn with_z_loss(weight: f64) -> StageSpec {
    let objective = Objective::new(vec![Term::NextToken, Term::ZLoss { weight }]).expect("terms in order");
    StageSpec { objective, ..toy::spec() }
}

fn start(spec: &StageSpec, origin: Origin<'_>, threads: usize) -> StageRun {
    let compute = Compute::parse("flex", threads).expect("the CPU is always there");
    StageRun::new(spec, toy::dataset(), &compute, origin).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

/// The mean square of the logarithm of the softmax's denominator over tokens of the text.
fn z_loss(snapshot: &Snapshot) -> f64 {
    let spec = toy::spec();
    let batch = toy::dataset().train_batch(spec.data.order_seed, spec.steps.end, &spec.batch).expect("has one");
    let tokens: Vec<i64> = batch.inputs[..16].iter().map(|token| i64::from(*token)).collect();
    let compute = Compute::parse("flex", 1).expect("the CPU is always there");
    let logits = Inference::load(snapshot, 16, &compute).expect("loads").logits(&tokens).expect("computes");
    let rows = logits.chunks(logits.len() / tokens.len());
    let square = |row: &[f32]| row.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln().powi(2);
    rows.map(square).sum::<f64>() / tokens.len() as f64
}

fn gradient(spec: &StageSpec) -> Vec<f64> {
    let gradients = start(spec, Origin::Initial, 1).gradients().expect("has a step");
    gradients.into_values().flat_map(|tensor| tensor.values).map(f64::from).collect()
}

#[test]
fn the_reported_loss_is_the_next_tokens_and_the_gradient_that_of_the_sum() {
    let first = |spec: &StageSpec| start(spec, Origin::Initial, 1).next_step().expect("steps");
    let (alone, both) = (first(&toy::spec()), first(&with_z_loss(0.1)));
    assert_eq!(both.loss.to_bits(), alone.loss.to_bits());
    assert_ne!(both.grad_norm, alone.grad_norm);

    // The term's part of the gradient grows in proportion to its weight.
    let [none, once, thrice] = [toy::spec(), with_z_loss(0.1), with_z_loss(0.3)].map(|spec| gradient(&spec));
    let (mut off, mut size) = (0.0, 0.0);
    for ((none, once), thrice) in none.iter().zip(&once).zip(&thrice) {
        off += (thrice - none - 3.0 * (once - none)).powi(2);
        size += (thrice - none).powi(2);
    }
    assert!(size > 0.0 && off.sqrt() < 1e-4 * size.sqrt(), "off by {off} of {size}");
}

#[test]
fn a_z_loss_brings_the_normaliser_nearer_to_one() {
    let trained = |spec: &StageSpec| {
        let mut run = start(spec, Origin::Initial, 1);
        let first = z_loss(&run.snapshot());
        let steps = finish(&mut run);
        assert!(steps[steps.len() - 1].loss < steps[0].loss - 0.1, "it learns: {steps:?}");
        (first, z_loss(&run.snapshot()))
    };
    let ((first, alone), (_, both)) = (trained(&toy::spec()), trained(&with_z_loss(0.1)));
    assert!(both < 0.8 * alone && both < first, "{both} with the term, {alone} without, {first} before");
}

#[test]
fn micro_batches_are_averaged_term_by_term() {
    let whole = with_z_loss(0.1);
    let mut parts = whole.clone();
    parts.batch.micro_sequences = 3; // 3 + 3 + 2
    let [whole, parts] = [whole, parts].map(|spec| start(&spec, Origin::Initial, 1).next_step().expect("steps"));
    assert!((whole.loss - parts.loss).abs() < 1e-5, "{} against {}", whole.loss, parts.loss);
    assert!((whole.grad_norm / parts.grad_norm - 1.0).abs() < 1e-4, "{} against {}", whole.grad_norm, parts.grad_norm);
}

#[test]
fn a_run_with_a_z_loss_is_the_same_however_it_is_cut_and_on_any_number_of_threads() {
    let spec = with_z_loss(1e-2);
    let mut whole = start(&spec, Origin::Initial, 1);
    let expected = finish(&mut whole);
    let mut first = start(&spec, Origin::Initial, 3);
    let mut steps: Vec<_> = (0..7).map(|_| first.next_step().expect("steps")).collect();
    let snapshot = first.snapshot();
    let mut second = start(&spec, Origin::Own(&snapshot), 2);
    steps.extend(finish(&mut second));
    assert_eq!(steps, expected);
    assert_eq!(second.snapshot(), whole.snapshot());
}
