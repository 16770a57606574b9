//! The estimate of the memory a stage takes, against what a step really takes on the CPU backend.

mod toy;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use minicpm::Compute;
use recipes::memory::TrainingMemory;
use recipes::{Batch, Shape, StageSpec};
use trainer::{StageRun, Start};

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

/// The most that two steps of a stage take, in bytes.
fn measured(spec: &StageSpec, memory: Option<u64>) -> usize {
    let data = toy::dataset_of(spec.model.vocab);
    let compute = Compute::parse("flex", 1).expect("the CPU is always there").with_memory(memory);
    let before = NOW.load(Ordering::Relaxed);
    let mut run = StageRun::new(spec, data, &compute, Start::Initial).expect("starts");
    MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    for _ in 0..2 {
        run.next_step().expect("steps");
    }
    MOST.load(Ordering::Relaxed) - before
}

/// One test, because the count is that of the whole process.
#[test]
fn the_estimate_is_near_what_is_measured() {
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
        let mut spec = StageSpec { batch: Batch { sequences, context, micro_sequences }, end_step: 2, ..toy::spec() };
        spec.model.shape = shape;
        let estimate = TrainingMemory::of(&spec);
        let kept = measured(&spec, None);
        let recomputed = measured(&spec, Some(1));
        println!(
            "{name}: kept {kept}, estimated {} ({:.2}); recomputed {recomputed}, estimated {} ({:.2})",
            estimate.kept(),
            estimate.kept() as f64 / kept as f64,
            estimate.recomputed(),
            estimate.recomputed() as f64 / recomputed as f64,
        );
    }
}
