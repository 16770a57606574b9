//! The estimate of the memory a stage takes, against what a step really takes on the CPU backend.
//!
//! The estimate is for the formulas that GPUs run, which `wgpu.rs` measures. The CPU's kernels keep less of them: nothing of
//! attention's weights, and neither gate nor sigmoid. So here it is a bound, at short contexts within a factor of four.

mod toy;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use minicpm::Compute;
use trainer::{Origin, StageRun};
use vocabulary::memory::TrainingMemory;
use vocabulary::{Batch, Shape, StageSpec};

/// Counts what is allocated, and the most there was of it.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often the estimate may hold what is measured at contexts of up to 64 tokens, and at 512.
const SHORT: f64 = 4.0;
const LONG: f64 = 12.0;

/// The most that two steps of a stage take, in bytes.
fn measured(spec: &StageSpec, memory: Option<u64>) -> usize {
    let data = toy::dataset_of(spec.model.vocab);
    let compute = Compute::parse("flex", 1).expect("the CPU is always there").with_memory(memory);
    let before = NOW.load(Ordering::Relaxed);
    let mut run = StageRun::new(spec, data, &compute, Origin::Initial).expect("starts");
    MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    for _ in 0..2 {
        run.next_step().expect("steps");
    }
    MOST.load(Ordering::Relaxed) - before
}

/// One test, because the count is that of the whole process.
#[test]
fn the_estimate_is_above_what_is_measured_and_not_far() {
    let shape = |d_model, d_ff, n_heads, n_layers| Shape {
        d_model,
        d_ff,
        head_dim: 16,
        n_heads,
        n_kv_heads: n_heads,
        n_layers,
    };
    let cases = [
        ("weights", shape(192, 480, 12, 6), 32, 4, 4),
        ("activations", shape(64, 160, 4, 6), 64, 64, 64),
        ("long contexts", shape(64, 160, 4, 4), 512, 8, 8),
        ("small passes", shape(64, 160, 4, 6), 64, 64, 8),
    ];
    for (name, shape, context, sequences, micro_sequences) in cases {
        let mut spec =
            StageSpec { batch: Batch { sequences, context, micro_sequences, lanes: 1 }, steps: 0..2, ..toy::spec() };
        spec.model.shape = shape;
        let estimate = TrainingMemory::of(&spec);
        let measured = [measured(&spec, None), measured(&spec, Some(1))];
        let most = if context > 64 { LONG } else { SHORT };
        for (estimate, measured) in [estimate.kept(), estimate.recomputed()].into_iter().zip(measured) {
            let ratio = estimate as f64 / measured as f64;
            println!("{name}: {measured} bytes measured, {estimate} estimated ({ratio:.2})");
            assert!((1.0..most).contains(&ratio), "{name}: {measured} bytes measured, {estimate} estimated");
        }
        // Parameters are most of the first case, which does not change with activations.
        assert!(name == "weights" || measured[1] < measured[0], "{name}: {measured:?}");
    }
}
