//! Training compared with PyTorch: the same weights, batches and formulas, no shared code.
//!
//! `tests/pytorch/training.py` is the reference. It needs a Python with PyTorch, so the tests are ignored by
//! default: `cargo xtask check pytorch` creates one and runs them.

#[path = "../worker/trainer/tests/toy/mod.rs"]
mod toy;

use std::fs;
use std::path::Path;
use std::process::Command;

use minicpm::Compute;
use serde::Deserialize;
use trainer::snapshot::WEIGHTS;
use trainer::{Origin, StageRun, StepReport};
use vocabulary::{AdamW, Batch, DecayShape, LrSchedule, ModelSpec, Shape, StageSpec, TensorProgram};

const STEPS: u64 = 200;

/// Relative differences that 32 bits excuse: ten times what they come to, or more. Small faults exceed them: a weight
/// decay of 0.09 and not 0.1, or an epsilon of 1e-7 and not 1e-8, moves a loss by 2e-4; 1e-6 and not 1e-5 inside RMSNorm
/// moves the gradient of a gain by 1e-5.
const MOST_OF_FIRST_LOSS: f64 = 1e-6;
const MOST_OF_GRADIENTS: f64 = 6e-6;
const MOST_OF_LOSSES: f64 = 1e-5;

/// What the reference says of each step.
#[derive(Deserialize)]
struct Reference {
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    learning_rates: Vec<f64>,
}

/// A model twice as wide as its base, so that each scaling does something, and a norm that clipping has to act for.
fn spec() -> StageSpec {
    let shape = Shape { d_model: 64, d_ff: 160, head_dim: 16, n_heads: 4, n_kv_heads: 2, n_layers: 3 };
    let tensor_program = TensorProgram { d_base: 32, ..TensorProgram::PAPER };
    StageSpec {
        model: ModelSpec { tensor_program, ..ModelSpec::paper(shape, 300) },
        steps: 0..STEPS,
        schedule: wsd(DecayShape::Linear, 0.1),
        peak_lr: 0.003,
        optimizer: AdamW { clip_norm: 0.3, ..AdamW::PAPER },
        batch: Batch { sequences: 8, context: 32, micro_sequences: 8, lanes: 1 },
        ..toy::spec()
    }
}

fn wsd(decay: DecayShape, floor: f64) -> LrSchedule {
    LrSchedule::Wsd { warmup_steps: 20, decay_start: 150, decay_steps: 50, decay, floor }
}

#[test]
#[ignore = "needs a Python with PyTorch: WINDTUNNEL_PYTHON"]
fn grouped_queries_and_a_tied_head() {
    hold_against_pytorch("grouped queries, tied head", &spec());
}

/// The last of a batch's passes has fewer sequences than the others; PyTorch takes all at once.
#[test]
#[ignore = "needs a Python with PyTorch: WINDTUNNEL_PYTHON"]
fn a_head_of_its_own_and_micro_batches() {
    let mut spec = StageSpec { schedule: wsd(DecayShape::Exponential, 0.05), ..spec() };
    (spec.start.init_seed, spec.data.order_seed) = (7, 8);
    spec.model.shape.n_kv_heads = spec.model.shape.n_heads;
    spec.model.tied = false;
    spec.batch.micro_sequences = 3;
    hold_against_pytorch("untied head, micro batches of 3, 3 and 2", &spec);
}

fn hold_against_pytorch(case: &str, spec: &StageSpec) {
    let data = toy::dataset();
    let compute = Compute::parse("flex", 2).expect("the CPU is always there");
    let mut run = StageRun::new(spec, data.clone(), &compute, Origin::Initial).expect("starts");
    let folder = tempfile::tempdir().expect("a temporary directory");
    write_inputs(folder.path(), spec, &run);
    let reference = train_in_pytorch(folder.path());
    let gradients = run.gradients().expect("the first batch");
    let reports: Vec<StepReport> = (0..STEPS).map(|_| run.next_step().expect("steps")).collect();

    // What is compared would be compared in vain otherwise.
    let clipped = reports.iter().filter(|report| report.grad_norm > spec.optimizer.clip_norm).count();
    let (first, last) = (reports[0].loss, reports[reports.len() - 1].loss);
    assert!(clipped > 10, "{case}: clipping acts on {clipped} steps");
    assert!(last < 0.8 * first, "{case}: the model learns: from {first} to {last}");

    let of_gradients = gradients.iter().map(|(name, ours)| {
        let theirs = read_floats(&folder.path().join(format!("gradients/{name}.f32")));
        (name, distance(&ours.values, &theirs))
    });
    let (worst, gradient) = of_gradients.max_by(|(_, a), (_, b)| a.total_cmp(b)).expect("a model has parameters");
    let of_steps = |ours: fn(&StepReport) -> f64, theirs: &[f64]| -> Vec<f64> {
        assert_eq!(theirs.len(), reports.len(), "{case}");
        reports.iter().zip(theirs).map(|(report, theirs)| (ours(report) / theirs - 1.0).abs()).collect()
    };
    let losses = of_steps(|report| report.loss, &reference.losses);
    let norms = of_steps(|report| report.grad_norm, &reference.grad_norms);
    let rates = of_steps(|report| report.learning_rate, &reference.learning_rates);
    println!(
        "{case}: from {first:.4} to {last:.4} nats a token in {STEPS} steps, {clipped} of them clipped\n  \
         relative difference to PyTorch: first loss {:.1e}, all losses {:.1e}, first gradient norm {:.1e}, all gradient \
         norms {:.1e}, learning rates {:.1e}, gradients of the first step {gradient:.1e} in {} parameters ({worst})",
        losses[0],
        largest(&losses),
        norms[0],
        largest(&norms),
        largest(&rates),
        gradients.len(),
    );
    assert!(losses[0] <= MOST_OF_FIRST_LOSS, "{case}: the first loss is off by {:.1e}", losses[0]);
    assert!(gradient <= MOST_OF_GRADIENTS, "{case}: the gradient of {worst} is off by {gradient:.1e}");
    assert!(norms[0] <= MOST_OF_GRADIENTS, "{case}: the first gradient norm is off by {:.1e}", norms[0]);
    assert!(largest(&rates) <= 1e-12, "{case}: learning rates are off by {:.1e}", largest(&rates));
    assert!(largest(&losses) <= MOST_OF_LOSSES, "{case}: losses are off by {:.1e}", largest(&losses));
}

/// What both train on.
fn write_inputs(folder: &Path, spec: &StageSpec, run: &StageRun) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    write("spec.json", &serde_json::to_vec(spec).expect("a spec has a JSON form"));
    let blobs = run.snapshot().to_blobs().expect("encodes");
    write(WEIGHTS, &blobs.iter().find(|blob| blob.name == WEIGHTS).expect("has weights").bytes);
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for step in 0..STEPS {
        let batch = toy::dataset().train_batch(spec.data.order_seed, step, &spec.batch).expect("a batch");
        inputs.extend(batch.inputs.iter().flat_map(|token| token.to_le_bytes()));
        targets.extend(batch.targets.iter().flat_map(|token| token.to_le_bytes()));
    }
    write("inputs.i32", &inputs);
    write("targets.i32", &targets);
}

fn train_in_pytorch(folder: &Path) -> Reference {
    let python = std::env::var_os("WINDTUNNEL_PYTHON");
    let python = python.expect("WINDTUNNEL_PYTHON names a Python with PyTorch: `cargo xtask check pytorch` makes one");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch/training.py");
    let status = Command::new(python).arg(script).arg(folder).status().expect("Python starts");
    assert!(status.success(), "training.py: {status}");
    let result = fs::read(folder.join("result.json")).expect("is written");
    serde_json::from_slice(&result).expect("is in the reference's form")
}

fn read_floats(file: &Path) -> Vec<f32> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four"))).collect()
}

/// The L2 norm of the difference, as a fraction of that of `theirs`.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let square_sum = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square_sum(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (difference / square_sum(&mut theirs.iter().map(|value| f64::from(*value)))).sqrt()
}

fn largest(values: &[f64]) -> f64 {
    // NaN counts as the largest value.
    values.iter().copied().max_by(f64::total_cmp).expect("is not empty")
}
