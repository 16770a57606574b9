//! What a device has or lacks: number formats, and memory.

mod toy;

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use minicpm::{Compute, MiniCpm, MiniCpmConfig};
use trainer::optimizer::Optimizer;
use trainer::{Origin, StageRun, StepReport};
use vocabulary::memory::TrainingMemory;
use vocabulary::{Precision, StageSpec};

fn flex() -> Compute {
    Compute::parse("flex", 1).expect("the CPU is always there")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

#[test]
fn with_less_memory_activations_are_computed_again_to_the_same_bits() {
    let mut spec = toy::spec();
    spec.batch.micro_sequences = 4;
    let memory = TrainingMemory::of(&spec);
    assert!(memory.recomputed() < memory.kept());
    let run = |bytes| {
        let compute = flex().with_memory(bytes);
        let mut run = StageRun::new(&spec, toy::dataset(), &compute, Origin::Initial).expect("starts");
        (finish(&mut run), run.snapshot())
    };
    let kept = run(Some(memory.kept()));
    assert_eq!(run(Some(memory.kept() - 1)), kept);
    assert_eq!(run(None), kept);
}

/// Later than the warm-up and the steepest descent the loss jumps about at this learning rate, and two runs that differ in
/// anything part ways.
#[test]
fn a_run_in_bfloat16_follows_the_one_in_32_bits() {
    let losses = |precision| {
        let spec = StageSpec { precision, steps: 0..24, ..toy::spec() };
        let mut run = StageRun::new(&spec, toy::dataset(), &flex(), Origin::Initial).expect("starts");
        finish(&mut run).into_iter().map(|step| step.loss).collect::<Vec<_>>()
    };
    let (half, full) = (losses(Precision::Bf16), losses(Precision::Fp32));
    let apart = half.iter().zip(&full).map(|(half, full)| (half / full - 1.0).abs()).fold(0.0, f64::max);
    println!("bf16 and fp32 are apart by {apart:e}, from {} to {}", full[0], full[full.len() - 1]);
    assert!(full[0] - full[full.len() - 1] > 0.5, "it learns");
    assert_ne!(half, full, "the number format is used");
    assert!(apart < 1e-3, "{half:?} against {full:?}");
}

/// What a GPU runs in bfloat16, by the steps of a stage: no GPU that has it is needed, because the CPU backend runs the same
/// formulas by way of 32 bits.
#[test]
fn a_run_in_bfloat16_as_on_a_gpu_follows_the_one_in_32_bits() {
    let (spec, data, device) = (StageSpec { steps: 0..24, ..toy::spec() }, toy::dataset(), flex().device());
    let config = MiniCpmConfig { spec: spec.model, context: spec.batch.context as usize };
    let losses = |mut model: MiniCpm| -> Vec<f64> {
        let mut optimizer = Optimizer::new(spec.optimizer, &spec.model);
        let step = |step| {
            let batch = data.train_batch(spec.data.order_seed, step, &spec.batch).expect("there is text");
            let shape = [batch.inputs.len() / batch.context, batch.context];
            let count = [batch.targets.len()];
            let inputs = Tensor::from_data(TensorData::new(batch.inputs, shape), &device);
            let targets = Tensor::from_data(TensorData::new(batch.targets, count), &device);
            let loss = model.loss(inputs, targets);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(model.clone(), gradients, spec.learning_rate(step), step).0;
            f64::from(loss.into_scalar::<f32>())
        };
        spec.steps.clone().map(step).collect()
    };
    let initial = config.init(spec.start.init_seed, &device);
    let (half, full) = (losses(initial.clone().in_bf16_as_on_a_gpu()), losses(initial));
    let apart = half.iter().zip(&full).map(|(half, full)| (half / full - 1.0).abs()).fold(0.0, f64::max);
    println!("bf16 as on a GPU and fp32 are apart by {apart:e}, from {} to {}", full[0], full[full.len() - 1]);
    assert!(full[0] - full[full.len() - 1] > 0.5, "it learns");
    assert!(apart > 1e-7, "the number format is used");
    assert!(apart < 2e-3, "{half:?} against {full:?}");
}

#[test]
fn a_run_in_bfloat16_is_the_same_however_it_is_cut_and_on_any_number_of_threads() {
    let spec = StageSpec { precision: Precision::Bf16, ..toy::spec() };
    let start = |from, threads| {
        let compute = Compute::parse("flex", threads).expect("the CPU is always there");
        StageRun::new(&spec, toy::dataset(), &compute, from).expect("starts")
    };
    let mut whole = start(Origin::Initial, 1);
    let expected = finish(&mut whole);
    let mut first = start(Origin::Initial, 3);
    let mut steps: Vec<_> = (0..7).map(|_| first.next_step().expect("steps")).collect();
    let snapshot = first.snapshot();
    let mut second = start(Origin::Own(&snapshot), 2);
    steps.extend(finish(&mut second));
    assert_eq!(steps, expected);
    assert_eq!(second.snapshot(), whole.snapshot());
}

#[test]
fn one_two_and_four_devices_take_the_same_steps_to_the_bit() {
    for (micro_sequences, lanes) in [(1, 1), (2, 1), (1, 4), (1, 3)] {
        let mut spec = toy::spec();
        spec.batch.micro_sequences = micro_sequences;
        spec.batch.lanes = lanes;
        let run = |devices| {
            let compute = Compute::parse(devices, 4).expect("the CPU is always there");
            let mut run = StageRun::new(&spec, toy::dataset(), &compute, Origin::Initial).expect("starts");
            (finish(&mut run), run.snapshot())
        };
        let one = run("flex");
        for devices in ["flex,flex", "flex,flex,flex", "flex,flex,flex,flex"] {
            assert_eq!(run(devices), one, "{devices}, {micro_sequences} sequences a pass, {lanes} lanes");
        }
    }
}

#[test]
fn lanes_change_the_order_of_addition_and_little_else() {
    let run = |lanes| {
        let mut spec = toy::spec();
        spec.batch.micro_sequences = 1;
        spec.batch.lanes = lanes;
        let mut run = StageRun::new(&spec, toy::dataset(), &flex(), Origin::Initial).expect("starts");
        let first = run.next_step().expect("steps");
        (first.loss, first.grad_norm, run.snapshot())
    };
    let ((loss, norm, weights), (in_lanes, norm_in_lanes, weights_in_lanes)) = (run(1), run(4));
    assert_eq!(in_lanes, loss, "the loss is added in the order of the passes");
    assert_ne!(weights_in_lanes, weights, "the gradients are not");
    assert!((norm_in_lanes / norm - 1.0).abs() < 1e-5, "{norm_in_lanes} against {norm}");
}

#[test]
fn a_stage_moves_from_several_devices_to_one_and_back() {
    let mut spec = toy::spec();
    spec.batch.micro_sequences = 2;
    let start = |devices, from| {
        let compute = Compute::parse(devices, 2).expect("the CPU is always there");
        StageRun::new(&spec, toy::dataset(), &compute, from).expect("starts")
    };
    let mut whole = start("flex", Origin::Initial);
    let expected = finish(&mut whole);
    let mut first = start("flex,flex", Origin::Initial);
    let mut steps: Vec<_> = (0..5).map(|_| first.next_step().expect("steps")).collect();
    let snapshot = first.snapshot();
    let mut second = start("flex", Origin::Own(&snapshot));
    steps.extend((0..4).map(|_| second.next_step().expect("steps")));
    let snapshot = second.snapshot();
    let mut third = start("flex,flex,flex", Origin::Own(&snapshot));
    steps.extend(finish(&mut third));
    assert_eq!(steps, expected);
    assert_eq!(third.snapshot(), whole.snapshot());
}
