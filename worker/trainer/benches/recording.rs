//! What recording dynamics costs: steps of two runs of one stage, of which one records, in turn.
//!
//! `cargo bench -p windtunnel-trainer --bench recording` prints, for the shapes of the quick start, the time of a step and
//! the ratio of the two with its quartiles.

#[path = "../tests/toy/mod.rs"]
mod toy;

use std::time::Instant;

use minicpm::Compute;
use trainer::{Origin, StageRun};
use vocabulary::{Batch, DataSpec, ModelSpec, Recording, StageSpec, TensorProgram, ladder};

/// Pairs of steps that are timed, after some that warm up.
const PAIRS: u64 = 200;
const WARM_UP: u64 = 10;

fn main() {
    let data = toy::dataset_of(512);
    let compute = Compute::parse("flex", 1).expect("the CPU is always there");
    for name in ["tiny-32", "tiny-48", "tiny-64", "tiny-96", "tiny-128"] {
        let shape = ladder::find(name).expect("is on the ladder");
        let tensor_program = TensorProgram { d_base: 32, ..TensorProgram::PAPER };
        let plain = StageSpec {
            model: ModelSpec { tensor_program, ..ModelSpec::paper(shape, data.dataset().vocab) },
            data: DataSpec { dataset: data.dataset().id, ..toy::spec().data },
            steps: 0..PAIRS + WARM_UP,
            batch: Batch { sequences: 16, context: 64, micro_sequences: 16, lanes: 1 },
            ..toy::spec()
        };
        let recording = StageSpec { recording: Some(Recording::Dynamics), ..plain.clone() };
        let mut runs = [plain, recording].map(|spec| {
            StageRun::new(&spec, data.clone(), &compute, Origin::Initial).unwrap_or_else(|error| panic!("{error}"))
        });
        let mut pairs = Vec::new();
        for _ in 0..PAIRS + WARM_UP {
            pairs.push(runs.each_mut().map(|run| {
                let start = Instant::now();
                run.next_step().expect("steps");
                start.elapsed().as_secs_f64()
            }));
        }
        let [lower, middle, upper] =
            quartiles(pairs[WARM_UP as usize..].iter().map(|[plain, recorded]| recorded / plain));
        let [_, step, _] = quartiles(pairs[WARM_UP as usize..].iter().map(|[plain, _]| plain * 1e3));
        println!("{name}: {step:.2} ms a step, recording {middle:.3} times that ({lower:.3} to {upper:.3})");
    }
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}
