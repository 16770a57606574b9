//! The trainer on a GPU backend: wgpu, on whatever adapter is there. Mesa's software rasteriser, lavapipe, is enough, and
//! is what the check runs them on; so are machines that have one skipped with a word, unless it is demanded.

mod toy;

use std::sync::{Mutex, MutexGuard, PoisonError};

use minicpm::Compute;
use trainer::{Origin, Snapshot, StageRun, StartError, StepReport};
use vocabulary::memory::TrainingMemory;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Batch, DataSpec, Precision, Shape, StageSpec};

/// Set where a machine without an adapter is a failure.
const DEMANDED: &str = "WINDTUNNEL_TEST_WGPU";

/// How far losses of the two backends may part, relative to the loss. Measured: `docs/experiments.md`, 2026-11-25.
const TOLERANCE: f64 = 1e-4;

/// The adapter, for one test at a time: its memory is measured, and there is one of it. Or nothing, and a word why.
fn wgpu() -> Option<(Compute, MutexGuard<'static, ()>)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    match Compute::parse("wgpu", 1) {
        Ok(compute) => Some((compute, ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))),
        Err(error) => {
            assert!(std::env::var_os(DEMANDED).is_none(), "{DEMANDED} is set, and: {error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn flex() -> Compute {
    Compute::parse("flex", 1).expect("the CPU is always there")
}

/// Shape C of the benchmarks: two blocks of width 64, 16 sequences of 128 tokens.
fn spec(steps: u64) -> StageSpec {
    let mut spec = StageSpec {
        steps: 0..steps,
        data: DataSpec { dataset: toy::dataset_of(1024).dataset().id, ..toy::spec().data },
        batch: Batch { sequences: 16, context: 128, micro_sequences: 8, lanes: 1 },
        ..toy::spec()
    };
    spec.model.shape = Shape { d_model: 64, d_ff: 160, head_dim: 16, n_heads: 4, n_kv_heads: 4, n_layers: 2 };
    spec.model.vocab = 1024;
    spec
}

fn start(spec: &StageSpec, compute: &Compute, from: Origin<'_>) -> StageRun {
    StageRun::new(spec, toy::dataset_of(spec.model.vocab), compute, from).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

fn stored(snapshot: &Snapshot) -> Snapshot {
    Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes")
}

/// The largest difference of losses and of gradient norms, relative.
fn apart(found: &[StepReport], expected: &[StepReport]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let relative = |a: f64, b: f64| (a / b - 1.0).abs();
    found.iter().zip(expected).fold((0.0, 0.0), |(loss, norm): (f64, f64), (a, b)| {
        assert_eq!((a.step, a.tokens, a.learning_rate), (b.step, b.tokens, b.learning_rate));
        (loss.max(relative(a.loss, b.loss)), norm.max(relative(a.grad_norm, b.grad_norm)))
    })
}

#[test]
fn a_stage_comes_out_as_on_the_cpu() {
    let Some((wgpu, _guard)) = wgpu() else { return };
    let spec = spec(40);
    let [mut here, mut there] = [start(&spec, &wgpu, Origin::Initial), start(&spec, &flex(), Origin::Initial)];
    let (found, expected) = (finish(&mut here), finish(&mut there));
    let (loss, norm) = apart(&found, &expected);
    let (a, b) = (here.validate().expect("validates"), there.validate().expect("validates"));
    let [ours, theirs] = [&a, &b].map(|of| of.measurements.get(VALIDATION_LOSS).expect("it is measured"));
    let held_out = (ours / theirs - 1.0).abs();
    println!("apart by {loss:e} in the loss, {norm:e} in the norm of the gradient, {held_out:e} on held-out tokens");
    assert!(expected[39].loss < expected[0].loss - 0.5, "it learns");
    assert!(loss < TOLERANCE && held_out < TOLERANCE && norm < 10.0 * TOLERANCE);
    assert_eq!((a.tokens, a.bytes), (b.tokens, b.bytes));
}

#[test]
fn a_run_that_was_cut_goes_on_bit_for_bit_and_a_cpu_can_take_over() {
    let Some((wgpu, _guard)) = wgpu() else { return };
    let spec = spec(12);
    let mut whole = start(&spec, &wgpu, Origin::Initial);
    let expected = finish(&mut whole);

    let mut first = start(&spec, &wgpu, Origin::Initial);
    let mut steps: Vec<_> = (0..5).map(|_| first.next_step().expect("steps")).collect();
    let snapshot = stored(&first.snapshot());
    let mut second = start(&spec, &wgpu, Origin::Own(&snapshot));
    steps.extend(finish(&mut second));
    assert_eq!(steps, expected);
    // Not by `assert_eq`, which would print a hundred thousand numbers.
    assert!(second.snapshot() == whole.snapshot(), "weights and moments are equal to the bit");

    let (loss, _) = apart(&finish(&mut start(&spec, &flex(), Origin::Own(&snapshot))), &expected[5..]);
    println!("taken over by the CPU: apart by {loss:e}");
    assert!(loss < TOLERANCE);
}

#[test]
fn with_less_memory_activations_are_computed_again_to_the_same_bits() {
    let Some((wgpu, _guard)) = wgpu() else { return };
    let spec = spec(6);
    let memory = TrainingMemory::of(&spec);
    assert!(memory.recomputed() < memory.kept());
    let run = |compute: &Compute| {
        let mut run = start(&spec, compute, Origin::Initial);
        (finish(&mut run), run.snapshot())
    };
    let (recomputed, kept) = (run(&wgpu.clone().with_memory(Some(memory.recomputed()))), run(&wgpu));
    assert_eq!(recomputed.0, kept.0);
    assert!(recomputed.1 == kept.1, "weights and moments are equal to the bit");
}

#[test]
fn bfloat16_trains_where_the_adapter_has_it_and_is_refused_where_not() {
    let Some((wgpu, _guard)) = wgpu() else { return };
    let spec = StageSpec { precision: Precision::Bf16, ..spec(6) };
    let run = StageRun::new(&spec, toy::dataset_of(1024), &wgpu, Origin::Initial);
    if wgpu.supports(Precision::Bf16) {
        let steps = finish(&mut run.expect("starts"));
        assert!(steps.iter().all(|step| step.loss.is_finite()), "{steps:?}");
    } else {
        let error = run.expect_err("is refused");
        assert!(matches!(error, StartError::Precision { .. }), "{error}");
        println!("{error}");
    }
}

#[test]
fn the_estimate_of_memory_is_near_what_the_allocator_takes() {
    let Some((wgpu, _guard)) = wgpu() else { return };
    let short = StageSpec { batch: Batch { sequences: 16, context: 128, micro_sequences: 16, lanes: 1 }, ..spec(2) };
    // More queries than attention serves at a time.
    let batch = Batch { sequences: 2, context: 640, micro_sequences: 2, lanes: 1 };
    let long = StageSpec { batch, validation_tokens: 640, ..spec(2) };
    for (name, spec) in [("short contexts", short), ("long contexts", long)] {
        let memory = TrainingMemory::of(&spec);
        for (estimate, limit) in [(memory.kept(), None), (memory.recomputed(), Some(1))] {
            let compute = wgpu.clone().with_memory(limit);
            let device = compute.device();
            compute.install(|| device.memory_cleanup());
            let mut run = start(&spec, &compute, Origin::Initial);
            finish(&mut run);
            let usage = compute.install(|| device.memory_pool_usage()).expect("this backend reports it");
            let ratio = estimate as f64 / usage.bytes_reserved as f64;
            println!("{name}: {} bytes taken, {estimate} estimated ({ratio:.2})", usage.bytes_reserved);
            assert!((0.95..1.5).contains(&ratio), "{name}: {usage:?} where {estimate} were estimated");
        }
    }
}
