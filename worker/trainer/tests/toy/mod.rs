//! A small text, and a stage over it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use corpus::OpenDataset;
use corpus::dataset::write_texts;
use vocabulary::{Batch, DataSpec, LrSchedule, ModelSpec, Shape, StageSpec, StartSpec, TensorProgram, sample};

const SYLLABLES: [&str; 16] =
    ["ba", "lor", "mi", "nen", "qua", "ri", "so", "tul", "ve", "xan", "yo", "zi", "chi", "dra", "esk", "fum"];

/// Text of so many words out of three thousand, some far more often than others.
fn text(words: u64, seed: u64) -> String {
    let mut state = seed;
    let word = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The square of a fraction is small more often than not.
        let fraction = (state >> 33) as f64 / f64::from(1u32 << 31);
        let rank = (fraction * fraction * 3000.0) as usize;
        [rank % 16, rank / 16 % 16, rank / 256].map(|syllable| SYLLABLES[syllable]).concat()
    };
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

/// A dataset with a vocabulary of this size, made once.
pub(crate) fn dataset_of(vocab: u32) -> Arc<OpenDataset> {
    static MADE: Mutex<BTreeMap<u32, Arc<OpenDataset>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("no test failed in here");
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toy-datasets");
        let (train, held_out) = (text(60_000, 1), text(3_000, 2));
        let (dataset, dir) = write_texts(&folder, &[&train], &[&held_out], vocab).expect("is written");
        assert!(dataset.vocab <= vocab, "no larger than asked for");
        Arc::new(OpenDataset::open(&dir).expect("opens"))
    };
    Arc::clone(made.entry(vocab).or_insert_with(make))
}

/// The dataset of [`spec`].
pub(crate) fn dataset() -> Arc<OpenDataset> {
    dataset_of(300)
}

/// Sixteen steps of a small model with grouped queries.
pub(crate) fn spec() -> StageSpec {
    let shape = Shape { d_model: 32, d_ff: 80, head_dim: 8, n_heads: 4, n_kv_heads: 2, n_layers: 2 };
    let tensor_program = TensorProgram { d_base: 32, ..TensorProgram::PAPER };
    StageSpec {
        model: ModelSpec { tensor_program, ..ModelSpec::paper(shape, 300) },
        start: StartSpec::of_seed(1),
        data: DataSpec { dataset: dataset().dataset().id, order_seed: 2, mixture: None },
        steps: 0..16,
        schedule: LrSchedule::Constant { warmup_steps: 3 },
        batch: Batch { sequences: 8, context: 16, micro_sequences: 8, lanes: 1 },
        validation_tokens: 512,
        ..sample::stage()
    }
}
