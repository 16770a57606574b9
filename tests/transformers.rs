//! Checkpoints exchanged with Hugging Face transformers: both programs compute the same logits from them.
//!
//! `tests/pytorch/logits.py` is the other side. It needs a Python with PyTorch and transformers, so the tests are ignored
//! by default: `cargo xtask check pytorch` creates one and runs them.

mod support;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::process::Command;

use npyz::{NpyFile, WriterBuilder};
use support::Place;
use trainer::snapshot::HostTensor;
use trainer::{Description, Snapshot};
use transformers::Format;
use transformers::layout::parameters;
use vocabulary::{ModelSpec, Shape, TensorProgram};

const VOCAB: u32 = 300;
const BATCH: usize = 2;
const CONTEXT: usize = 20;

/// Largest accepted difference of a logit. Logits here are of order one, and 32-bit rounding amounts to a few
/// millionths.
const MOST: f32 = 1e-4;

#[test]
#[ignore = "needs a Python with PyTorch and transformers: WINDTUNNEL_PYTHON"]
fn a_head_of_keys_for_each_of_queries_and_a_tied_head() {
    let shape = Shape { d_model: 64, d_ff: 160, head_dim: 16, n_heads: 4, n_kv_heads: 4, n_layers: 3 };
    exchange("mha-tied", &model(shape, 32, true));
}

#[test]
#[ignore = "needs a Python with PyTorch and transformers: WINDTUNNEL_PYTHON"]
fn grouped_queries_and_a_head_of_its_own() {
    let shape = Shape { d_model: 96, d_ff: 200, head_dim: 24, n_heads: 4, n_kv_heads: 2, n_layers: 2 };
    exchange("gqa-untied", &model(shape, 40, false));
}

/// The layout `minicpm` does not have such models, and `llama` none whose width is not a multiple of the number of
/// heads.
#[test]
#[ignore = "needs a Python with PyTorch and transformers: WINDTUNNEL_PYTHON"]
fn heads_that_are_wider_together_than_the_model() {
    let shape = Shape { d_model: 48, d_ff: 100, head_dim: 16, n_heads: 4, n_kv_heads: 1, n_layers: 4 };
    exchange("wide-heads-tied", &model(shape, 16, true));
    let shape = Shape { n_heads: 5, n_kv_heads: 5, ..shape };
    exchange("five-wide-heads-untied", &model(shape, 16, false));
}

#[test]
#[ignore = "needs a Python with PyTorch and transformers: WINDTUNNEL_PYTHON"]
fn models_of_transformers_are_imported() {
    for kind in ["granite", "llama"] {
        let place = Place::new();
        write_tokens(&place);
        python(&place, &["make", kind, "theirs"]);
        place.run(&["import", "theirs", "--out", "ours"]).expect(0);
        let ours = logits(&place, "ours");
        python(&place, &["load", "theirs", "tokens.npy", "theirs.npy"]);
        compare(&format!("{kind} made by transformers"), &ours, &read_floats(&place.path("theirs.npy")));
    }
}

/// A model in which every scaling has an effect, and so has the epsilon inside RMSNorm.
fn model(shape: Shape, d_base: u32, tied: bool) -> ModelSpec {
    let tensor_program = TensorProgram { d_base, ..TensorProgram::PAPER };
    ModelSpec { tied, tensor_program, rope_theta: 5_000.0, norm_eps: 0.01, ..ModelSpec::paper(shape, VOCAB) }
}

/// Exports a checkpoint to every layout that can express the model, has transformers compute each, and imports each
/// again.
fn exchange(case: &str, model: &ModelSpec) {
    let place = Place::new();
    write_tokens(&place);
    write_checkpoint(&place.path("checkpoint"), model);
    let ours = logits(&place, "checkpoint");
    for format in Format::ALL {
        let (name, back) = (format.name(), format!("{format}-back"));
        let export = ["export", "checkpoint", "--format", name, "--out", name];
        let Shape { d_model, n_heads, head_dim, .. } = model.shape;
        let has_it = match format {
            Format::Granite => true,
            Format::Llama => d_model.is_multiple_of(n_heads),
            Format::MiniCpm => n_heads * head_dim == d_model,
        };
        if !has_it {
            place.run(&export).expect(2);
            continue;
        }
        place.run(&export).expect(0);
        python(&place, &["load", name, "tokens.npy", "theirs.npy"]);
        compare(&format!("{case} as {name}"), &ours, &read_floats(&place.path("theirs.npy")));

        place.run(&["import", name, "--out", &back]).expect(0);
        let returned = logits(&place, &back);
        if format == Format::Llama {
            compare(&format!("{case} as {name} and back"), &ours, &returned);
        } else {
            let is_same = ours.iter().zip(&returned).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(is_same, "{case}: {name} brings back every bit");
        }
    }
}

/// Random weights: matrices that preserve magnitudes, and uneven gains.
fn write_checkpoint(dir: &Path, model: &ModelSpec) {
    let mut random = Random(7);
    let weights = parameters(model).into_iter().map(|(name, shape)| {
        let count = shape.iter().product();
        let values: Vec<f32> = match shape[..] {
            [_] => (0..count).map(|_| 1.0 + 0.2 * random.value()).collect(),
            [_, _] if name == "embedding" || name == "head" => (0..count).map(|_| 0.2 * random.value()).collect(),
            _ => (0..count).map(|_| random.value() / (shape[0] as f32).sqrt()).collect(),
        };
        (name, HostTensor { shape, values })
    });
    let description = Description { model: *model, dataset: None, context: 64 };
    let snapshot = Snapshot::of_weights(description, weights.collect());
    fs::create_dir(dir).expect("made");
    for blob in snapshot.to_blobs().expect("encodes") {
        fs::write(dir.join(blob.name), blob.bytes).expect("written");
    }
}

fn write_tokens(place: &Place) {
    let mut random = Random(11);
    let file = BufWriter::new(File::create(place.path("tokens.npy")).expect("made"));
    let options = npyz::WriteOptions::new().default_dtype().shape(&[BATCH as u64, CONTEXT as u64]);
    let mut writer = options.writer(file).begin_nd().expect("begins");
    writer.extend((0..BATCH * CONTEXT).map(|_| random.bits() % VOCAB)).expect("written");
    writer.finish().expect("written");
}

fn logits(place: &Place, checkpoint: &str) -> Vec<f32> {
    place.run(&["logits", checkpoint, "--tokens", "tokens.npy", "--out", "ours.npy", "--device", "flex"]).expect(0);
    read_floats(&place.path("ours.npy"))
}

fn read_floats(path: &Path) -> Vec<f32> {
    let file = NpyFile::new(BufReader::new(File::open(path).expect("is there"))).expect("is an array");
    assert_eq!(file.shape(), [BATCH as u64, CONTEXT as u64, u64::from(VOCAB)]);
    file.into_vec().expect("holds 32-bit floats")
}

fn python(place: &Place, args: &[&str]) {
    let python = std::env::var_os("WINDTUNNEL_PYTHON");
    let python = python.expect("WINDTUNNEL_PYTHON names a Python with PyTorch: `cargo xtask check pytorch` makes one");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch/logits.py");
    let mut command = Command::new(python);
    command.arg(script).args(args).current_dir(place.path(""));
    command.envs([("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_VERBOSITY", "error"), ("TQDM_DISABLE", "1")]);
    let status = command.status().expect("Python starts");
    assert!(status.success(), "logits.py {args:?}: {status}");
}

/// Prints how far apart two programs' logits are, and fails if too far.
#[track_caller]
fn compare(case: &str, ours: &[f32], theirs: &[f32]) {
    let count = ours.len() as f32;
    let mean = theirs.iter().sum::<f32>() / count;
    let deviation = (theirs.iter().map(|logit| (logit - mean).powi(2)).sum::<f32>() / count).sqrt();
    // NaN counts as the largest value.
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    let worst = differences.max_by(f32::total_cmp).expect("there are logits");
    println!("{case}: logits with a standard deviation of {deviation:.2}, the worst difference {worst:.1e}");
    // The comparison would be meaningless otherwise.
    assert!(deviation > 0.2, "{case}: the logits are all alike");
    assert!(worst <= MOST, "{case}: a logit is off by {worst:.1e}");
}

/// Reproducible numbers without a pattern.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Uniform, with a mean of 0 and a standard deviation of 1.
    fn value(&mut self) -> f32 {
        (self.bits() as f32 / 2.0_f32.powi(31) - 0.5) * 12.0_f32.sqrt()
    }
}
