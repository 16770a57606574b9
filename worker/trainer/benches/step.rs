//! Tokens a second of whole training steps, on the quick start's shapes and a few larger ones.
//!
//! `cargo bench -p windtunnel-trainer --bench step -- [THREADS [NAME]]` prints the median over steps, with the fastest and the
//! slowest tenth.

#[path = "../tests/toy/mod.rs"]
mod toy;

use std::time::Instant;

use minicpm::Compute;
use recipes::{Batch, Shape, StageSpec};
use trainer::{StageRun, Start};

/// As in the program itself: with the system's allocator a third of the time goes to page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let threads = arguments.next().map_or(1, |threads| threads.parse().expect("a number of threads"));
    let only = arguments.next();
    println!("{threads} thread(s); tokens/s: median (slowest tenth .. fastest tenth)");
    let shape = |d_model, d_ff, n_heads, n_layers, head_dim| Shape {
        d_model,
        d_ff,
        head_dim,
        n_heads,
        n_kv_heads: n_heads,
        n_layers,
    };
    let cases = [
        ("tiny-32", shape(32, 80, 2, 2, 16), 512, 64, 16),
        ("tiny-48", shape(48, 120, 3, 2, 16), 512, 64, 16),
        ("tiny-64", shape(64, 160, 4, 2, 16), 512, 64, 16),
        ("tiny-96", shape(96, 240, 6, 2, 16), 512, 64, 16),
        ("tiny-128", shape(128, 320, 8, 2, 16), 512, 64, 16),
        ("C: d 64", shape(64, 160, 4, 2, 16), 1024, 128, 16),
        ("B: d 128", shape(128, 320, 2, 4, 64), 2048, 128, 16),
        ("A: d 320", shape(320, 800, 5, 8, 64), 4096, 256, 8),
    ];
    for (name, shape, vocab, context, sequences) in cases {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let batch = Batch { sequences, context, micro_sequences: sequences };
        let mut spec = StageSpec { batch, end_step: u64::MAX, ..toy::spec() };
        spec.model.shape = shape;
        let data = toy::dataset_of(vocab);
        spec.model.vocab = data.dataset().vocab;
        spec.data = data.dataset().id;
        spec.validation_tokens = u64::from(context);
        let compute = Compute::parse("flex", threads).expect("the CPU is always there");
        let mut run = StageRun::new(&spec, data, &compute, Start::Initial).expect("starts");
        let mut speeds: Vec<f64> = (0..std::env::var("STEPS").map_or(140, |s| s.parse().unwrap()))
            .map(|_| {
                let before = Instant::now();
                let report = run.next_step().expect("steps");
                report.tokens as f64 / before.elapsed().as_secs_f64()
            })
            .skip(20)
            .collect();
        speeds.sort_by(f64::total_cmp);
        let [low, median, high] = [speeds.len() / 10, speeds.len() / 2, speeds.len() * 9 / 10].map(|rank| speeds[rank]);
        println!("{name:>10}  {median:>9.0} ({low:.0} .. {high:.0})");
    }
}
