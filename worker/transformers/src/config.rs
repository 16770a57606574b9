//! Writes a `config.json`, and reads one as far as it determines what a model computes.

use serde_json::{Map, Value, json};
use trainer::Description;
use vocabulary::{ModelSpec, Shape, TensorProgram};

use crate::format::Format;

/// A `config.json` that does not describe a MiniCPM model.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not JSON.
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    /// `model_type` names another kind of model.
    #[error("`model_type` is {found}, expected granite, llama, minicpm or mistral{}", because(found))]
    ModelType {
        /// The value found, or null.
        found: Value,
    },
    /// A required key is missing.
    #[error("`{key}` is missing")]
    Missing { key: &'static str },
    /// A key has an unsupported value.
    #[error("`{key}` is {found}, expected {expected}")]
    Value {
        key: &'static str,
        /// The value found.
        found: Value,
        /// Description of the accepted values.
        expected: &'static str,
    },
}

/// Token ids with a special role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpecialTokens {
    pub(crate) begin: Option<u32>,
    pub(crate) end: Option<u32>,
}

/// Explains in a few words why a layout cannot express a model.
pub(crate) fn check_expressible(format: Format, model: &ModelSpec) -> Result<(), String> {
    let Shape { d_model, n_heads, head_dim, .. } = model.shape;
    let width = u64::from(n_heads) * u64::from(head_dim);
    match format {
        Format::MiniCpm if width != u64::from(d_model) => {
            Err(format!("{n_heads} heads of {head_dim} must add up to the model's width, {d_model}"))
        }
        // `llama` allows other head widths, but its configuration class rejects a width that is not a multiple.
        Format::Llama if !d_model.is_multiple_of(n_heads) => {
            Err(format!("the width {d_model} must be a multiple of the {n_heads} heads"))
        }
        Format::Granite | Format::Llama | Format::MiniCpm => Ok(()),
    }
}

/// Makes the `config.json` of a model in a layout.
pub(crate) fn write(format: Format, description: &Description, special: SpecialTokens) -> Value {
    let Description { model, context, .. } = description;
    let Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers } = model.shape;
    let TensorProgram { scale_emb, scale_depth, init_std, d_base } = model.tensor_program;
    let common = json!({
        "architectures": [format.architecture()],
        "model_type": format.name(),
        "torch_dtype": "float32",
        "vocab_size": model.vocab,
        "hidden_size": d_model,
        "intermediate_size": d_ff,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        // `transformers` accepts 1 at most.
        "initializer_range": init_std.clamp(0.0, 1.0),
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_theta,
        "attention_bias": false,
        "attention_dropout": 0.0,
        "tie_word_embeddings": model.tied && format != Format::Llama,
        "use_cache": true,
        "bos_token_id": special.begin,
        "eos_token_id": special.end,
        "pad_token_id": null,
    });
    let own = match format {
        Format::Granite => json!({
            "head_dim": head_dim,
            "mlp_bias": false,
            "embedding_multiplier": scale_emb,
            "residual_multiplier": model.residual_scale(),
            "attention_multiplier": score_scale(head_dim),
            "logits_scaling": model.width_ratio(),
        }),
        Format::Llama => json!({ "head_dim": head_dim, "mlp_bias": false }),
        Format::MiniCpm => json!({
            "auto_map": {
                "AutoConfig": "configuration_minicpm.MiniCPMConfig",
                "AutoModel": "modeling_minicpm.MiniCPMModel",
                "AutoModelForCausalLM": "modeling_minicpm.MiniCPMForCausalLM",
            },
            "scale_emb": scale_emb,
            "dim_model_base": d_base,
            "scale_depth": scale_depth,
            // With a value above 1, the published code does not divide the logits.
            "pretraining_tp": 1,
            "rope_scaling": null,
        }),
    };
    let objects = [common, own].into_iter().filter_map(|value| match value {
        Value::Object(object) => Some(object),
        _ => None,
    });
    Value::Object(objects.flatten().collect())
}

/// The attention scale, 1 / sqrt(head_dim).
fn score_scale(head_dim: u32) -> f64 {
    1.0 / f64::from(head_dim).sqrt()
}

/// A model as its `config.json` describes it, in Windtunnel's terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Read {
    pub(crate) format: Format,
    pub(crate) model: ModelSpec,
    /// Longest sequence the model was made for, in tokens.
    pub(crate) context: u32,
    /// Factor for the query weights: Windtunnel always divides scores by sqrt(head_dim), other configurations need not.
    pub(crate) query_factor: f32,
    /// Factor for the gain before the head: d_base is an integer in Windtunnel, but not in every configuration.
    pub(crate) norm_factor: f32,
    /// What people should know about the choice of the layout.
    pub(crate) note: Option<&'static str>,
}

/// A model that is a Llama if no window limits its attention.
const MISTRAL: &str = "mistral";

/// What common models have that no model here has, as the end of a sentence.
fn because(model_type: &Value) -> &'static str {
    match model_type.as_str() {
        Some("qwen2") => ": qwen2 adds biases to queries, keys and values, which no model here has",
        Some("qwen3") => ": qwen3 normalises queries and keys (q_norm, k_norm), which no model here does",
        Some("gemma" | "gemma2" | "gemma3_text") => ": gemma's gains and activation are not those of a model here",
        Some("mixtral" | "qwen2_moe" | "qwen3_moe") => ": mixtures of experts are not supported",
        _ => "",
    }
}

/// Parses a `config.json`.
pub(crate) fn read(text: &[u8]) -> Result<Read, ConfigError> {
    let object: Map<String, Value> = serde_json::from_slice(text).map_err(ConfigError::Json)?;
    let config = Config(&object);
    let name = config.get("model_type").and_then(Value::as_str);
    let is_mistral = name == Some(MISTRAL);
    let format = if is_mistral { Some(Format::Llama) } else { name.and_then(|name| name.parse().ok()) };
    let Some(format) = format else {
        return Err(ConfigError::ModelType { found: object.get("model_type").cloned().unwrap_or_default() });
    };
    config.refuse_what_no_model_here_has(format)?;
    // The class's own default, which differs from a Llama's.
    let shape = config.shape(is_mistral.then_some(8))?;
    if is_mistral {
        config.refuse_a_window()?;
    }
    if format == Format::MiniCpm && shape.n_heads * shape.head_dim != shape.d_model {
        return Err(config.wrong("head_dim", "hidden_size / num_attention_heads"));
    }
    let mut read = Read {
        format,
        model: ModelSpec {
            shape,
            vocab: config.count("vocab_size")?,
            tied: config.flag("tie_word_embeddings")?.unwrap_or(format == Format::MiniCpm),
            tensor_program: TensorProgram {
                scale_emb: 1.0,
                scale_depth: f64::from(shape.n_layers).sqrt(),
                init_std: config.number("initializer_range")?.unwrap_or(0.02),
                d_base: shape.d_model,
            },
            rope_theta: config.rope_theta()?,
            norm_eps: config.number("rms_norm_eps")?.unwrap_or(1e-6),
        },
        context: config.count("max_position_embeddings")?,
        query_factor: 1.0,
        norm_factor: 1.0,
        note: is_mistral.then_some("a Mistral without a window computes what a Llama does, and was read as one"),
    };
    let program = &mut read.model.tensor_program;
    match format {
        Format::Llama => {}
        Format::MiniCpm => {
            program.scale_emb = config.number("scale_emb")?.unwrap_or(1.0);
            program.scale_depth = config.number("scale_depth")?.unwrap_or(1.0);
            program.d_base = match config.get("dim_model_base") {
                Some(_) => config.count("dim_model_base")?,
                None => 1,
            };
        }
        Format::Granite => {
            let multiplier = |key| Ok(config.number(key)?.unwrap_or(1.0));
            program.scale_emb = multiplier("embedding_multiplier")?;
            program.scale_depth = scale_depth(multiplier("residual_multiplier")?, shape.n_layers);
            let scores = multiplier("attention_multiplier")? / score_scale(shape.head_dim);
            if (scores - 1.0).abs() > 1e-7 {
                read.query_factor = scores as f32;
            }
            let ratio = multiplier("logits_scaling")?;
            if ratio.is_nan() || ratio <= 0.0 {
                return Err(config.wrong("logits_scaling", "a number above zero"));
            }
            let d_base = f64::from(shape.d_model) / ratio;
            if d_base >= 1.0 && (d_base.round() / d_base - 1.0).abs() < 1e-12 {
                program.d_base = d_base.round() as u32;
            } else {
                read.norm_factor = (1.0 / ratio) as f32;
            }
        }
    }
    Ok(read)
}

/// The `scale_depth` that gives a residual multiplier exactly, in as few digits as possible.
fn scale_depth(residual_multiplier: f64, n_layers: u32) -> f64 {
    let root = f64::from(n_layers).sqrt();
    let exact = residual_multiplier * root;
    let short = format!("{exact:.14e}").parse().unwrap_or(exact);
    if short / root == residual_multiplier { short } else { exact }
}

/// The keys of a `config.json`. A null counts as missing.
struct Config<'a>(&'a Map<String, Value>);

impl Config<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &'static str, expected: &'static str) -> ConfigError {
        ConfigError::Value { key, found: self.0.get(key).cloned().unwrap_or_default(), expected }
    }

    /// A required integer above zero.
    fn count(&self, key: &'static str) -> Result<u32, ConfigError> {
        let value = self.get(key).ok_or(ConfigError::Missing { key })?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        count.ok_or_else(|| self.wrong(key, "a whole number above zero"))
    }

    fn number(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(key, "a number"))
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "true or false"))
    }

    /// The shape, with the class's default number of key heads if it is not that of the query heads.
    fn shape(&self, kv_heads: Option<u32>) -> Result<Shape, ConfigError> {
        let d_model = self.count("hidden_size")?;
        let n_heads = self.count("num_attention_heads")?;
        let n_kv_heads = match self.get("num_key_value_heads") {
            Some(_) => self.count("num_key_value_heads")?,
            None => kv_heads.unwrap_or(n_heads),
        };
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(self.wrong("num_key_value_heads", "a divisor of num_attention_heads"));
        }
        let head_dim = match self.get("head_dim") {
            Some(_) => self.count("head_dim")?,
            None => d_model / n_heads,
        };
        if head_dim == 0 || !head_dim.is_multiple_of(2) || u64::from(head_dim) * u64::from(n_heads) > 1 << 24 {
            return Err(self.wrong("head_dim", "an even number, or heads that divide hidden_size into even parts"));
        }
        let (d_ff, n_layers) = (self.count("intermediate_size")?, self.count("num_hidden_layers")?);
        Ok(Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers })
    }

    /// Base of the rotary position embedding; newer versions of `transformers` keep it in `rope_parameters`.
    fn rope_theta(&self) -> Result<f64, ConfigError> {
        let newer = self.get("rope_parameters").and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
        let theta = newer.or(self.number("rope_theta")?).unwrap_or(10_000.0);
        if theta > 0.0 { Ok(theta) } else { Err(self.wrong("rope_theta", "a number above zero")) }
    }

    /// Refuses a window that is shorter than the context. An absent key stands for one of 4,096 tokens.
    fn refuse_a_window(&self) -> Result<(), ConfigError> {
        let key = "sliding_window";
        let window = match self.0.get(key) {
            Some(Value::Null) => return Ok(()),
            Some(_) => self.count(key)?,
            None => 4096,
        };
        if window < self.count("max_position_embeddings")? {
            return Err(self.wrong(key, "null, or at least max_position_embeddings (absent means 4096)"));
        }
        Ok(())
    }

    fn refuse_what_no_model_here_has(&self, format: Format) -> Result<(), ConfigError> {
        for key in ["attention_bias", "mlp_bias"] {
            if self.flag(key)? == Some(true) {
                return Err(self.wrong(key, "false"));
            }
        }
        if self.get("hidden_act").is_some_and(|act| act != "silu" && act != "swish") {
            return Err(self.wrong("hidden_act", "silu"));
        }
        for key in ["rope_scaling", "rope_parameters"] {
            let kind = self.get(key).map(|rope| rope.get("rope_type").or_else(|| rope.get("type")).unwrap_or(rope));
            let is_plain = |kind: &Value| kind == "default" || (key == "rope_parameters" && kind.is_object());
            if kind.is_some_and(|kind| !is_plain(kind)) {
                return Err(self.wrong(key, "null, since scaled positions are not supported"));
            }
        }
        let partial = self.number("partial_rotary_factor")?;
        if partial.is_some_and(|share| share != 1.0) {
            return Err(self.wrong("partial_rotary_factor", "1"));
        }
        // For `llama` it does not affect what the model computes.
        if format == Format::MiniCpm && self.number("pretraining_tp")?.is_some_and(|parts| parts != 1.0) {
            return Err(
                self.wrong("pretraining_tp", "1, since the published code does not divide the logits otherwise")
            );
        }
        if self.number("num_experts")?.is_some_and(|experts| experts != 0.0) {
            return Err(self.wrong("num_experts", "0, since mixtures of experts are not supported"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal(model_type: &str, more: Value) -> Value {
        let mut config = json!({
            "model_type": model_type, "vocab_size": 100, "hidden_size": 48, "intermediate_size": 120,
            "num_hidden_layers": 3, "num_attention_heads": 6, "max_position_embeddings": 64,
        });
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config
    }

    fn read_value(config: &Value) -> Result<Read, ConfigError> {
        read(config.to_string().as_bytes())
    }

    #[test]
    fn what_is_left_out_has_the_default_of_the_class() {
        let llama = read_value(&minimal("llama", json!({}))).expect("reads").model;
        assert_eq!((llama.shape.n_kv_heads, llama.shape.head_dim, llama.tied), (6, 8, false));
        assert_eq!((llama.residual_scale(), llama.width_ratio(), llama.norm_eps), (1.0, 1.0, 1e-6));
        assert!(read_value(&minimal("minicpm", json!({}))).expect("reads").model.tied);
    }

    #[test]
    fn a_mistral_without_a_window_is_a_llama() {
        let more = json!({"num_attention_heads": 8, "sliding_window": null});
        let read = read_value(&minimal("mistral", more)).expect("reads");
        assert_eq!((read.format, read.model.shape.n_kv_heads), (Format::Llama, 8));
        assert!(read.note.is_some_and(|note| note.contains("Mistral")));
        // A window that the context never fills changes nothing; an absent one is 4,096 tokens.
        for more in [json!({"sliding_window": 64}), json!({})] {
            let more = minimal("mistral", more);
            let read = read_value(&Value::Object(
                more.as_object()
                    .expect("an object")
                    .clone()
                    .into_iter()
                    .chain([("num_key_value_heads".to_owned(), json!(2))])
                    .collect(),
            ));
            assert_eq!(read.expect("reads").model.shape.n_kv_heads, 2);
        }
        let narrow = json!({"num_key_value_heads": 2, "sliding_window": 32});
        let error = read_value(&minimal("mistral", narrow)).expect_err("attends to a window").to_string();
        assert!(error.contains("`sliding_window` is 32"), "{error}");
        let error = read_value(&minimal("qwen3", json!({}))).expect_err("has gains of its own").to_string();
        assert!(error.contains("q_norm"), "{error}");
    }

    #[test]
    fn both_places_of_the_rotary_base_are_read() {
        for more in
            [json!({"rope_theta": 5e3}), json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e3}})]
        {
            assert_eq!(read_value(&minimal("llama", more)).expect("reads").model.rope_theta, 5e3);
        }
    }

    #[test]
    fn multipliers_without_a_counterpart_go_into_weights() {
        let more = json!({"attention_multiplier": 0.125, "logits_scaling": 7.0, "head_dim": 16});
        let read = read_value(&minimal("granite", more)).expect("reads");
        assert_eq!((read.query_factor, read.norm_factor), (0.5, 1.0 / 7.0));
        assert_eq!(read.model.width_ratio(), 1.0);
        let more = json!({"attention_multiplier": 0.25, "logits_scaling": 3, "head_dim": 16});
        let read = read_value(&minimal("granite", more)).expect("reads");
        assert_eq!((read.query_factor, read.norm_factor, read.model.tensor_program.d_base), (1.0, 1.0, 16));
    }

    #[test]
    fn the_depth_scaling_of_a_recipe_comes_back() {
        for n_layers in 1..100 {
            for depth in [1.4, 0.1, 1.0, 2.5] {
                assert_eq!(scale_depth(depth / f64::from(n_layers).sqrt(), n_layers), depth, "{n_layers} layers");
            }
        }
    }

    #[test]
    fn what_no_model_here_has_is_refused_by_its_key() {
        let cases = [
            ("llama", json!({"attention_bias": true}), "attention_bias"),
            ("granite", json!({"mlp_bias": true}), "mlp_bias"),
            ("llama", json!({"hidden_act": "gelu"}), "hidden_act"),
            ("llama", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "rope_scaling"),
            ("llama", json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}), "rope_parameters"),
            ("llama", json!({"num_key_value_heads": 4}), "num_key_value_heads"),
            ("llama", json!({"num_attention_heads": 16}), "head_dim"),
            ("llama", json!({"num_hidden_layers": 0}), "num_hidden_layers"),
            ("llama", json!({"vocab_size": null}), "vocab_size"),
            ("granite", json!({"logits_scaling": 0}), "logits_scaling"),
            ("minicpm", json!({"pretraining_tp": 2}), "pretraining_tp"),
            ("minicpm", json!({"num_experts": 8}), "num_experts"),
            ("minicpm", json!({"head_dim": 4}), "head_dim"),
            ("qwen2", json!({}), "model_type"),
        ];
        for (model_type, more, key) in cases {
            let error = read_value(&minimal(model_type, more)).expect_err(key).to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        assert!(matches!(read(b"[]"), Err(ConfigError::Json(_))));
    }
}
