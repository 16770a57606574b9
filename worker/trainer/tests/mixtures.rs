//! Stages over several domains: that a run is the same however it is cut, across the change of weights, too.

use std::path::Path;
use std::sync::Arc;

use corpus::OpenDataset;
use corpus::dataset::write_domains;
use minicpm::Compute;
use trainer::{Origin, Snapshot, StageRun, StartError, StepReport};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{
    Batch, DataSpec, DecayShape, LrSchedule, Mixture, ModelSpec, Shape, StageSpec, TensorProgram, sample,
};

fn text(word: &str, words: u64, seed: u64) -> String {
    (0..words).map(|i| format!("{word}{} ", (i * i + seed) % 57)).collect()
}

fn dataset() -> Arc<OpenDataset> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toy-domains");
    let [prose, prose_held] = [text("mi", 6_000, 1), text("mi", 1_500, 2)];
    let [code, code_held] = [text("esk", 4_000, 3), text("esk", 1_500, 4)];
    let domains: [(&str, &[&str], &[&str]); 2] =
        [("prose", &[&prose], &[&prose_held]), ("code", &[&code], &[&code_held])];
    let (_, dir) = write_domains(&folder, &domains, 300).expect("is written");
    Arc::new(OpenDataset::open(&dir).expect("opens"))
}

/// Sixteen steps of a trunk, then eight of a decay; all weights are those of the trunk.
fn spec(data: &OpenDataset) -> StageSpec {
    let shape = Shape { d_model: 32, d_ff: 80, head_dim: 8, n_heads: 4, n_kv_heads: 2, n_layers: 2 };
    let tensor_program = TensorProgram { d_base: 32, ..TensorProgram::PAPER };
    StageSpec {
        model: ModelSpec { tensor_program, ..ModelSpec::paper(shape, data.dataset().vocab) },
        data: DataSpec { dataset: data.dataset().id, order_seed: 2, mixture: Mixture::of(&[0.8, 0.2]) },
        steps: 0..16,
        schedule: LrSchedule::Constant { warmup_steps: 3 },
        batch: Batch { sequences: 6, context: 16, micro_sequences: 6, lanes: 1 },
        validation_tokens: 512,
        ..sample::stage()
    }
}

fn decay(data: &OpenDataset, weights: &[f64]) -> StageSpec {
    let trunk = spec(data);
    let weights = Mixture::of(weights).expect("weights").weights;
    let decay = DecayShape::Linear;
    StageSpec {
        steps: 16..24,
        schedule: LrSchedule::Wsd { warmup_steps: 3, decay_start: 16, decay_steps: 8, decay, floor: 0.1 },
        data: DataSpec { mixture: trunk.data.mixture.map(|mixture| mixture.switched(weights, 16 * 6)), ..trunk.data },
        ..trunk
    }
}

fn start(spec: &StageSpec, data: &Arc<OpenDataset>, from: Origin<'_>, threads: usize) -> StageRun {
    let compute = Compute::parse("flex", threads).expect("the CPU is always there");
    StageRun::new(spec, Arc::clone(data), &compute, from).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

/// A checkpoint as it comes back from a disk.
fn stored(snapshot: &Snapshot) -> Snapshot {
    Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes")
}

#[test]
fn a_branch_with_other_weights_that_is_cut_goes_on_bit_for_bit() {
    let data = dataset();
    let mut trunk = start(&spec(&data), &data, Origin::Initial, 1);
    finish(&mut trunk);
    let parent = stored(&trunk.snapshot());
    let branch = decay(&data, &[0.3, 0.7]);
    let mut undisturbed = start(&branch, &data, Origin::Parent(&parent), 2);
    let steps = finish(&mut undisturbed);
    let mut again = Vec::new();
    let mut from = parent.clone();
    while from.step < branch.steps.end {
        // Killed after every third step.
        let origin = if from.step == branch.steps.start { Origin::Parent(&from) } else { Origin::Own(&from) };
        let mut run = start(&branch, &data, origin, 1);
        again.extend((0..3).map_while(|_| (!run.is_finished()).then(|| run.next_step().expect("steps"))));
        from = stored(&run.snapshot());
    }
    assert_eq!(again, steps);
    assert_eq!(from, stored(&undisturbed.snapshot()));
    let last = start(&branch, &data, Origin::Own(&from), 1).validate().expect("validates");
    assert_eq!(last, undisturbed.validate().expect("validates"));
}

#[test]
fn weights_that_do_not_change_are_no_change_to_the_bit() {
    let data = dataset();
    let whole = StageSpec { steps: 0..24, ..spec(&data) };
    let undisturbed = finish(&mut start(&whole, &data, Origin::Initial, 1));
    let mut trunk = start(&spec(&data), &data, Origin::Initial, 1);
    let mut steps = finish(&mut trunk);
    let constant = LrSchedule::Constant { warmup_steps: 3 };
    let rest = StageSpec { schedule: constant, ..decay(&data, &[0.8, 0.2]) };
    steps.extend(finish(&mut start(&rest, &data, Origin::Parent(&stored(&trunk.snapshot())), 1)));
    assert_eq!(steps, undisturbed);
}

#[test]
fn each_set_is_measured_by_itself_and_the_loss_is_their_mean() {
    let data = dataset();
    let mut trunk = start(&spec(&data), &data, Origin::Initial, 1);
    finish(&mut trunk);
    let measured = trunk.validate().expect("validates");
    for metric in [VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE] {
        let parts: Vec<(&str, f64)> = measured.measurements.parts_of(metric).collect();
        let &[("0", prose), ("1", code)] = parts.as_slice() else { panic!("two sets: {measured:?}") };
        assert_eq!(measured.measurements.get(metric), Some((prose + code) / 2.0));
    }
    assert_eq!(measured.tokens, 2 * 512);
    // Four fifths of the text are prose: it has been learnt better, and the decay on code turns that round.
    let parent = stored(&trunk.snapshot());
    let after = |weights: &[f64]| {
        let mut run = start(&decay(&data, weights), &data, Origin::Parent(&parent), 1);
        finish(&mut run);
        let measured = run.validate().expect("validates").measurements;
        [0, 1].map(|set| measured.get(VALIDATION_LOSS_PER_BYTE.part(set)).expect("it is measured"))
    };
    let (on_prose, on_code) = (after(&[1.0, 0.0]), after(&[0.0, 1.0]));
    assert!(on_prose[0] < on_code[0], "{on_prose:?} {on_code:?}");
    assert!(on_prose[1] > on_code[1], "{on_prose:?} {on_code:?}");
}

#[test]
fn a_stage_that_does_not_say_how_to_draw_is_refused() {
    let data = dataset();
    let compute = Compute::parse("flex", 1).expect("the CPU is always there");
    for mixture in [None, Mixture::of(&[1.0, 1.0, 1.0])] {
        let spec = StageSpec { data: DataSpec { mixture, ..spec(&data).data }, ..spec(&data) };
        let Err(refused) = StageRun::new(&spec, Arc::clone(&data), &compute, Origin::Initial) else {
            panic!("is refused");
        };
        assert!(matches!(refused, StartError::Batch(_)), "{refused}");
    }
}
