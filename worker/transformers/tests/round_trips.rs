//! Exports checkpoints and imports them again; checks what is refused on the way.

use std::fs;
use std::path::Path;

use minicpm::Compute;
use safetensors::SafeTensors;
use serde_json::Value;
use trainer::snapshot::HostTensor;
use trainer::{Description, Inference, Snapshot};
use transformers::import::SourceError;
use transformers::layout::parameters;
use transformers::{Export, ExportError, Format, ImportError, TokenizerFile, import};
use vocabulary::{ModelSpec, Shape, TensorProgram};

/// Widths and depths whose ratios and roots are not round numbers.
fn model(tied: bool) -> ModelSpec {
    let shape = Shape { d_model: 24, d_ff: 20, head_dim: 6, n_heads: 4, n_kv_heads: 2, n_layers: 3 };
    let tensor_program = TensorProgram { d_base: 7, ..TensorProgram::PAPER };
    ModelSpec { tied, tensor_program, rope_theta: 5_000.0, ..ModelSpec::paper(shape, 31) }
}

/// A model whose heads together are wider than the model.
fn wide_model() -> ModelSpec {
    let mut model = model(true);
    model.shape.head_dim = 8;
    model
}

/// Weights that all differ.
fn snapshot(model: ModelSpec) -> Snapshot {
    let mut next = 0_u16;
    let weights = parameters(&model).into_iter().map(|(name, shape)| {
        let value = |_| {
            next += 1;
            (f32::from(next) / 3.0).sin()
        };
        let values = (0..shape.iter().product()).map(value).collect();
        (name, HostTensor { shape, values })
    });
    Snapshot::of_weights(Description { model, dataset: None, context: 64 }, weights.collect())
}

fn written(snapshot: &Snapshot, format: Format) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Export::new(snapshot, format, None).expect("is expressible").write(dir.path()).expect("is written");
    dir
}

/// Rewrites a `config.json` with one key changed.
fn set(dir: &Path, key: &str, value: Value) {
    let path = dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("is there")).expect("is JSON");
    config[key] = value;
    fs::write(path, config.to_string()).expect("is written");
}

#[test]
fn granite_and_minicpm_bring_back_every_bit_and_the_model() {
    let cases = [
        (Format::Granite, model(true)),
        (Format::Granite, model(false)),
        (Format::Granite, wide_model()),
        (Format::MiniCpm, model(true)),
        (Format::MiniCpm, model(false)),
    ];
    for (format, model) in cases {
        let ours = snapshot(model);
        let back = import(written(&ours, format).path()).expect("is read");
        assert_eq!(back.format, format);
        assert_eq!(back.snapshot, ours, "{format}");
    }
}

#[test]
fn llama_brings_back_a_model_without_scalings() {
    let back = import(written(&snapshot(model(true)), Format::Llama).path()).expect("is read").snapshot;
    let described = back.description.expect("is described").model;
    assert_eq!((described.shape, described.tied), (model(true).shape, false));
    assert_eq!((described.residual_scale(), described.width_ratio()), (1.0, 1.0));
    assert_eq!(described.tensor_program.scale_emb, 1.0);
    let (ours, scale_emb) = (snapshot(model(true)), model(true).tensor_program.scale_emb as f32);
    let scaled: Vec<f32> = ours.weights()["embedding"].values.iter().map(|value| value * scale_emb).collect();
    assert_eq!(back.weights()["embedding"].values, scaled);
    let ratio = (1.0 / model(true).width_ratio()) as f32;
    let scaled: Vec<f32> = ours.weights()["embedding"].values.iter().map(|value| value * ratio).collect();
    assert_eq!(back.weights()["head"].values, scaled);
    assert_eq!(back.weights()["norm.gain"], ours.weights()["norm.gain"]);
}

#[test]
fn the_parameters_are_those_the_model_is_computed_with() {
    let compute = Compute::parse("flex", 1).expect("the CPU is always there");
    for model in [model(true), model(false), wide_model()] {
        Inference::load(&snapshot(model), 8, &compute).expect("has the model's parameters, and no others");
    }
}

#[test]
fn a_model_that_a_layout_has_no_place_for_is_refused() {
    let refused = Export::new(&snapshot(wide_model()), Format::MiniCpm, None).expect_err("has no such heads");
    assert!(matches!(&refused, ExportError::Inexpressible { format: Format::MiniCpm, .. }), "{refused}");
    let mut narrow = model(true);
    narrow.shape.n_heads = 10;
    let refused = Export::new(&snapshot(narrow), Format::Llama, None).expect_err("24 is not a multiple of 10");
    assert!(matches!(&refused, ExportError::Inexpressible { format: Format::Llama, .. }), "{refused}");
}

#[test]
fn a_checkpoint_that_is_not_of_its_model_is_refused() {
    let refused = |description, weights| {
        let ours = Snapshot::of_weights(description, weights);
        Export::new(&ours, Format::Granite, None).expect_err("is not of its model").to_string()
    };
    let ours = snapshot(model(false));
    let (description, weights) = (ours.description.expect("is described"), ours.weights());

    let mut missing = weights.clone();
    missing.remove("blocks.1.mlp.down");
    assert!(refused(description, missing).contains("blocks.1.mlp.down is missing"));
    let mut misshapen = weights.clone();
    misshapen.insert("head".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] });
    assert!(refused(description, misshapen).contains("head is of shape [1]"));
    let tied = Description { model: model(true), ..description };
    assert!(refused(tied, weights.clone()).contains("has head"));
}

#[test]
fn a_folder_that_is_not_of_its_configuration_is_refused() {
    let refused = |key: &str, value: Value| {
        let dir = written(&snapshot(model(false)), Format::Granite);
        set(dir.path(), key, value);
        import(dir.path()).expect_err("is not of its configuration")
    };
    let error = refused("num_hidden_layers", 4.into());
    assert!(
        matches!(&error, ImportError::Source(SourceError::Missing { tensor, .. }) if tensor.starts_with("model.layers.3.")),
        "{error}"
    );
    let error = refused("num_hidden_layers", 2.into());
    assert!(matches!(&error, ImportError::Source(SourceError::Surplus { .. })), "{error}");
    let error = refused("vocab_size", 30.into());
    assert!(matches!(&error, ImportError::Source(SourceError::Shape { .. })), "{error}");
    let error = refused("attention_bias", true.into());
    assert!(matches!(&error, ImportError::Config { .. }), "{error}");

    let dir = written(&snapshot(model(false)), Format::Granite);
    fs::remove_file(dir.path().join("model.safetensors")).expect("was there");
    let error = import(dir.path()).expect_err("has no weights");
    assert!(matches!(&error, ImportError::Source(SourceError::NoWeights { .. })), "{error}");
}

#[test]
fn weights_in_several_files_are_one_model() {
    let ours = snapshot(model(true));
    let dir = written(&ours, Format::Granite);
    let whole = fs::read(dir.path().join("model.safetensors")).expect("is there");
    let tensors = SafeTensors::deserialize(&whole).expect("is valid").tensors();
    let mut map = serde_json::Map::new();
    for (index, half) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let name = format!("model-{index}.safetensors");
        map.extend(half.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
        let half = half.iter().map(|(tensor, view)| (tensor, view));
        safetensors::serialize_to_file(half, None, &dir.path().join(name)).expect("is written");
    }
    fs::remove_file(dir.path().join("model.safetensors")).expect("was there");
    let index = serde_json::json!({ "weight_map": map });
    fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).expect("is written");
    assert_eq!(import(dir.path()).expect("is read").snapshot, ours);
}

/// Tensors by name: shape and values.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// The tensors of a written model.
fn stored(dir: &Path) -> Tensors {
    let bytes = fs::read(dir.join("model.safetensors")).expect("is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("is valid");
    let floats = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
    };
    tensors.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec(), floats(view.data()))).collect()
}

fn store(path: &Path, tensors: &Tensors) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., values)| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).expect("fits"))
    });
    safetensors::serialize_to_file(views, None, path).expect("is written");
}

fn index(dir: &Path, file_of: impl IntoIterator<Item = (String, String)>) {
    let map: serde_json::Map<String, Value> = file_of.into_iter().map(|(tensor, file)| (tensor, file.into())).collect();
    let index = serde_json::json!({ "weight_map": map });
    fs::write(dir.join("model.safetensors.index.json"), index.to_string()).expect("is written");
}

#[test]
fn the_index_decides_which_copy_of_a_tensor_counts() {
    let ours = snapshot(model(true));
    let dir = written(&ours, Format::Granite);
    let all = stored(dir.path());
    fs::remove_file(dir.path().join("model.safetensors")).expect("was there");
    let (first, second) = all.split_at(all.len() / 2);
    let place = |name: &str| dir.path().join(name);
    // The later file has a stale copy of a tensor of the earlier one, and a tensor that the index does not name.
    let mut stale = second.to_vec();
    let (name, shape, values) = first[0].clone();
    stale.push((name.clone(), shape.clone(), values.iter().map(|value| value + 1.0).collect()));
    stale.push(("optimizer.state".to_owned(), shape, values));
    store(&place("1.safetensors"), &first.to_vec());
    store(&place("2.safetensors"), &stale);
    let in_file = |tensors: &[(String, Vec<usize>, Vec<f32>)], file: &str| {
        tensors.iter().map(|(name, ..)| (name.clone(), file.to_owned())).collect::<Vec<_>>()
    };
    let right = [in_file(first, "1.safetensors"), in_file(second, "2.safetensors")].concat();
    index(dir.path(), right.clone());
    let back = import(dir.path()).expect("is read");
    assert_eq!(back.snapshot, ours);
    let notes = &back.notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let is_copy = |note: &String| note.contains(&name) && note.contains("2.safetensors has another copy");
    assert!(notes.iter().any(is_copy), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("optimizer.state")), "{notes:?}");

    let mut wrong = right.clone();
    wrong[0].1 = "3.safetensors".to_owned();
    index(dir.path(), wrong);
    let error = import(dir.path()).expect_err("a file is missing").to_string();
    assert!(error.contains("gives 1 tensors to 3.safetensors, which is not in the folder"), "{error}");

    let mut wrong = right;
    wrong.push(("model.elsewhere".to_owned(), "1.safetensors".to_owned()));
    index(dir.path(), wrong);
    let error = import(dir.path()).expect_err("no file has it").to_string();
    assert!(error.contains("gives model.elsewhere to 1.safetensors, which does not have it"), "{error}");
}

#[test]
fn a_tied_head_of_its_own_is_left_out_aloud() {
    let ours = snapshot(model(true));
    let dir = written(&ours, Format::Granite);
    let path = dir.path().join("model.safetensors");
    let plain = stored(dir.path());
    let with_head = |change: f32| {
        let mut all = plain.clone();
        let (_, shape, mut values) =
            all.iter().find(|(name, ..)| name == "model.embed_tokens.weight").expect("is there").clone();
        values[5] += change;
        all.push(("lm_head.weight".to_owned(), shape, values));
        store(&path, &all);
        import(dir.path()).expect("is read")
    };
    let same = with_head(0.0);
    assert_eq!((same.snapshot, same.notes), (ours.clone(), Vec::new()));
    let other = with_head(0.5);
    assert_eq!(other.snapshot, ours);
    assert!(other.notes[0].contains("(1 of 744 values differ)"), "{:?}", other.notes);
}

#[test]
fn values_that_are_no_numbers_are_refused_by_their_tensor() {
    let dir = written(&snapshot(model(false)), Format::Granite);
    for (value, tensor) in [(f32::NAN, "model.norm.weight"), (f32::INFINITY, "lm_head.weight")] {
        let mut all = stored(dir.path());
        let (.., values) = all.iter_mut().find(|(name, ..)| name == tensor).expect("is there");
        values[3] = value;
        values[7] = value;
        let broken = tempfile::tempdir().expect("a temporary directory");
        fs::copy(dir.path().join("config.json"), broken.path().join("config.json")).expect("is copied");
        store(&broken.path().join("model.safetensors"), &all);
        let error = import(broken.path()).expect_err("is refused").to_string();
        let expected = format!("values of {tensor} are NaN or infinite, the first at index 3");
        assert!(error.starts_with("2 of ") && error.contains(&expected), "{error}");
    }
}

#[test]
fn prefixes_of_wrappers_are_taken_off() {
    let (tied, untied) = (snapshot(model(true)), snapshot(model(false)));
    let renamed = |ours: &Snapshot, rename: &dyn Fn(&str) -> String| {
        let dir = written(ours, Format::Granite);
        let all: Tensors =
            stored(dir.path()).into_iter().map(|(name, shape, values)| (rename(&name), shape, values)).collect();
        store(&dir.path().join("model.safetensors"), &all);
        import(dir.path())
    };
    for prefix in ["_orig_mod.", "module.", "module._orig_mod.", "model."] {
        let back = renamed(&untied, &|name| format!("{prefix}{name}")).expect("is read");
        assert_eq!(back.snapshot, untied, "{prefix}");
        assert!(back.notes[0].contains("under other names"), "{:?}", back.notes);
    }
    let inside = renamed(&untied, &|name| name.replace("layers.1.", "layers.1._checkpoint_wrapped_module."));
    assert_eq!(inside.expect("is read").snapshot, untied);
    // Saved without its head, as the inner model is.
    let inner = renamed(&tied, &|name| name.trim_start_matches("model.").to_owned());
    assert_eq!(inner.expect("is read").snapshot, tied);
    let other = renamed(&tied, &|name| format!("transformer.{name}")).expect_err("has other names").to_string();
    assert!(
        other.starts_with("the model has no tensor model.embed_tokens.weight: it also has transformer.model."),
        "{other}"
    );
}

#[test]
fn the_tokenizer_goes_along() {
    let json = r#"{"added_tokens": [{"id": 5, "content": "<end>"}]}"#.to_owned();
    let tokenizer = TokenizerFile { json, end_of_document: 5 };
    let ours = snapshot(model(true));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let export = Export::new(&ours, Format::Granite, Some(&tokenizer)).expect("is expressible");
    assert_eq!(export.config()["eos_token_id"], 5);
    export.write(dir.path()).expect("is written");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("is there");
    assert_eq!(read("tokenizer.json"), tokenizer.json);
    let config: Value = serde_json::from_str(&read("tokenizer_config.json")).expect("is JSON");
    assert_eq!((&config["eos_token"], &config["model_max_length"]), (&"<end>".into(), &64.into()));
}
