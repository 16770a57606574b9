//! The recipe as written: one type per table, one field per key.
//!
//! The limits are declared with the fields, in the JSON Schema derived from the types ([`super::schema`]). That schema
//! is enforced and words the errors, so editors, the parser and messages agree on what is accepted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vocabulary::{CheckpointPolicy, Keep, Precision};

use std::collections::BTreeMap;

pub use super::objective::{NextTokenRecipe, TermRecipe, ZLossRecipe};
pub use super::search::SearchRecipe;

/// A scaling-law campaign of Windtunnel: which models to train, on how much of which data, and how.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// The campaign's name: letters, digits, `-`, `_` and `.`. The folder of the results is named after it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What the campaign is for, in a sentence or two.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub description: String,
    /// Each seed trains every model once more, with different initial weights and a different order of the data.
    #[serde(default = "defaults::seeds")]
    #[schemars(length(min = 1, max = 100), inner(range(min = 0, max = 9_007_199_254_740_991_u64)))]
    pub seeds: Vec<u64>,
    /// Number format of activations. Weights and optimiser state are always 32-bit.
    #[serde(default = "defaults::precision")]
    pub precision: Precision,
    /// The terms whose sum a step minimises. The loss that is reported and fitted is always the next token's.
    #[serde(default = "super::objective::default")]
    #[schemars(length(min = 1, max = 2))]
    pub objective: Vec<TermRecipe>,
    /// The training and held-out text.
    pub data: DataRecipe,
    /// The models' shapes and scalings.
    pub model: ModelRecipe,
    /// How much data each model is trained on.
    pub points: PointsRecipe,
    /// The learning rate over a run.
    pub schedule: ScheduleRecipe,
    /// What one optimiser step consumes.
    pub batch: BatchRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// How often a stage is retried before it is given up.
    pub retries: Option<RetriesRecipe>,
    /// Which checkpoints are kept, and how often they are taken. Does not affect losses.
    #[serde(default)]
    pub checkpoints: CheckpointsRecipe,
    /// What is recorded of training in addition to losses. Does not affect losses.
    #[serde(default)]
    pub record: RecordRecipe,
    /// A hyper-parameter search: trials of the recipe's only run, each with other values of some keys.
    pub search: Option<SearchRecipe>,
    /// Arms to compare: each trains the recipe once with its overrides. With arms, the rest of the recipe holds shared
    /// defaults and is not trained by itself.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub arms: Vec<ArmRecipe>,
}

/// An arm of a comparison: its name, and overrides in any of `seeds`, `precision`, `objective`, `model`, `points`,
/// `schedule`, `batch`, `optimizer` and `record`, and in the `weights` and `decay_weights` of `data`. A `schedule` with a
/// `kind`, `objective`, `points`, and weights replace the recipe's; all other tables are merged key by key.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ArmRecipe {
    /// Its name in results: letters, digits, `-`, `_` and `.`.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
}

/// The text, its tokenizer, and the held-out part. Either `sources`, or `domains` with their `weights`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Files, folders or globs (`~` and environment variables are expanded; relative paths start at the recipe's
    /// folder), or the name `toolchain-docs`: the documentation that came with the Rust toolchain.
    #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 4096)))]
    pub sources: Option<Vec<String>>,
    /// Several texts instead of one. Each has its own held-out documents, on which every loss is measured, and its own
    /// share of the training tokens.
    #[schemars(length(min = 2, max = 8))]
    pub domains: Option<Vec<DomainRecipe>>,
    /// The share of each domain by its name, as any proportional numbers. A domain left out is not trained on, only
    /// measured.
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": 1e6 }))]
    pub weights: Option<BTreeMap<String, f64>>,
    /// The shares from the start of the decay on, in the same form; those of `weights` if absent. Only for `wsd`.
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0, "maximum": 1e6 }))]
    pub decay_weights: Option<BTreeMap<String, f64>>,
    /// Train a byte-level BPE tokenizer with this many entries on the training split. Either this or `tokenizer`.
    #[schemars(range(min = 257, max = 1_048_576))]
    pub vocab: Option<u32>,
    /// Path of a `tokenizer.json` to use instead of training one. Relative paths start at the recipe's folder.
    #[schemars(length(min = 1, max = 4096))]
    pub tokenizer: Option<String>,
    /// Fraction of the documents of each domain held out for validation, chosen by the hash of their text. Documents longer
    /// than 40 kB are held out in blocks of about 8 kB.
    #[serde(default = "defaults::validation_fraction")]
    #[schemars(range(min = 0.0001, max = 0.5))]
    pub validation_fraction: f64,
    /// Tokens of each domain's held-out text that every loss is measured on: a random sample of its documents, the same for
    /// all models.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub validation_tokens: u64,
    /// Selects which documents are held out.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub split_seed: u64,
    /// The key of a document in JSON Lines files, and the column in Parquet files; `text` if absent. Dots lead into objects.
    #[schemars(length(min = 1, max = 1000))]
    pub text_key: Option<String>,
    /// Stop reading the sources of each domain after this many bytes of text. No limit if absent.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub max_bytes: Option<u64>,
}

/// One of several texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainRecipe {
    /// Its name in weights and results: letters, digits, `-`, `_` and `.`; not `average`.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// Its sources, in the same forms as for a single text.
    #[schemars(length(min = 1, max = 1000), inner(length(min = 1, max = 4096)))]
    pub sources: Vec<String>,
    /// Its own `text_key`, if it has one.
    #[schemars(length(min = 1, max = 1000))]
    pub text_key: Option<String>,
}

/// The sizes, and the settings they share.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// Sizes to train, each a name of the ladder (`tiny-32` to `tiny-128`, `9M` to `2.4B`) or of `[[model.shapes]]`.
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 100)))]
    pub sizes: Vec<String>,
    /// Shapes of your own, for `sizes` to name.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub shapes: Vec<ShapeRecipe>,
    /// Whether the output layer uses the embedding table instead of one of its own.
    #[serde(default = "defaults::tied")]
    pub tied: bool,
    /// How a model's parts are scaled with its size. If an arm changes this, it inherits none of the next four keys.
    #[serde(default)]
    pub parametrization: Parametrization,
    /// The embedding's output is multiplied by this; 12 if absent. Not for `standard`.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub scale_emb: Option<f64>,
    /// Each block's two outputs are multiplied by this over the square root of the number of blocks; 1.4 if absent. Not for
    /// `standard`.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub scale_depth: Option<f64>,
    /// Standard deviation of the embedding's initial values; 0.1 if absent. That of a matrix follows from the width.
    /// For `standard` it applies to both, whatever the width; 0.02 if absent.
    #[schemars(range(max = 10.0), extend("exclusiveMinimum" = 0.0))]
    pub init_std: Option<f64>,
    /// The width at which the learning rate was tuned: matrices of wider models train at proportionally lower rates;
    /// 256 if absent. Not for `standard`.
    #[schemars(range(min = 1, max = 65_536))]
    pub d_base: Option<u32>,
    /// Base of the rotary position embedding.
    #[serde(default = "defaults::rope_theta")]
    #[schemars(range(min = 1.0, max = 1e12))]
    pub rope_theta: f64,
    /// Added to the mean square inside RMSNorm.
    #[serde(default = "defaults::norm_eps")]
    #[schemars(range(max = 0.1), extend("exclusiveMinimum" = 0.0))]
    pub norm_eps: f64,
}

/// How the parts of a model are scaled with its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parametrization {
    /// The scalings of the MiniCPM paper's Table 7, by width and by depth: one learning rate serves all sizes.
    #[default]
    TensorProgram,
    /// No scalings: initial values, learning rates, residuals and logits are those of an ordinary transformer of any
    /// size. The baseline for the scalings.
    Standard,
}

/// A model shape of the recipe's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShapeRecipe {
    /// Its name in `sizes`; not a name of the ladder.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 65_536))]
    pub d_model: u32,
    /// Width of the feed-forward layer.
    #[schemars(range(min = 1, max = 262_144))]
    pub d_ff: u32,
    /// Width of one attention head; even, because rotary embeddings rotate pairs.
    #[schemars(range(min = 2, max = 1024))]
    pub head_dim: u32,
    /// Query heads.
    #[schemars(range(min = 1, max = 1024))]
    pub n_heads: u32,
    /// Key and value heads; as many as query heads if absent.
    #[schemars(range(min = 1, max = 1024))]
    pub n_kv_heads: Option<u32>,
    /// Transformer blocks.
    #[schemars(range(min = 1, max = 1000))]
    pub n_layers: u32,
}

/// How much data each model is trained on. Give one of the two lists.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PointsRecipe {
    /// Tokens, the same for every size.
    #[schemars(length(min = 1, max = 1000), inner(range(min = 1, max = 1_000_000_000_000_000_u64)))]
    pub tokens: Option<Vec<u64>>,
    /// Tokens as multiples of the size's non-embedding parameters N: `[10, 20]` for 10N and 20N.
    #[schemars(length(min = 1, max = 1000), inner(range(min = 1e-6, max = 1e6)))]
    pub times_n: Option<Vec<f64>>,
}

/// The learning rate over a run, as a fraction of the peak.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRecipe {
    /// The form of the curve; the other keys depend on it.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up. Either this, `warmup_tokens` or `warmup_fraction`.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub warmup_steps: Option<u64>,
    /// Tokens of linear warm-up, rounded to steps: the same text whatever the batch.
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub warmup_tokens: Option<u64>,
    /// Linear warm-up as a fraction of the tokens of each size's shortest point, because its points share a trunk.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup_fraction: Option<f64>,
    /// Final learning rate, as a fraction of the peak. Not for `constant`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub floor: Option<f64>,
    /// The decay of `wsd`; only for `wsd`.
    pub decay: Option<DecayRecipe>,
    /// Tokens from the start to the floor of `cosine` and `cosine_loop`. A `cosine` without it reaches its floor with
    /// the last token.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub period_tokens: Option<u64>,
}

/// Forms of the learning rate over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Warmup-Stable-Decay: one trunk at the peak for all points of a model, and a decay branch for each.
    Wsd,
    /// Half a cosine wave from the peak to the floor, then the floor.
    Cosine,
    /// A cosine wave that continues past the floor and rises again.
    CosineLoop,
    /// The peak until the end.
    Constant,
}

/// The decay of WSD.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecayRecipe {
    /// How the learning rate falls.
    pub shape: DecayKind,
    /// Length of the decay, as a fraction of the point's tokens.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub fraction: f64,
    /// Whether the decay's tokens are the last of the point's, or come on top of them.
    pub counted: Counted,
    /// Tokens in which the learning rate halves; only for the shape `half_life`.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub half_life_tokens: Option<u64>,
}

/// How the learning rate falls in the decay of WSD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecayKind {
    /// Straight to the floor.
    Linear,
    /// By a constant factor each step; the floor has to be above zero.
    Exponential,
    /// By half every `half_life_tokens`; the floor is a lower bound.
    HalfLife,
    /// Half a cosine wave.
    Cosine,
    /// 1 - sqrt(progress).
    OneMinusSqrt,
}

/// What D means for a point of WSD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// D tokens in total, the last of which are the decay.
    Inside,
    /// D stable tokens, followed by the decay: WSD(D, 0.1 D) in the paper.
    After,
}

/// What one optimiser step consumes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRecipe {
    /// Sequences per optimiser step.
    #[schemars(range(min = 1, max = 65_536))]
    pub sequences: u32,
    /// Tokens per sequence.
    #[schemars(range(min = 2, max = 131_072))]
    pub context: u32,
    /// Sequences per forward and backward pass, a divisor of `sequences`; all at once if absent.
    #[schemars(range(min = 1, max = 65_536))]
    pub micro_sequences: Option<u32>,
    /// Memory of a device, in GiB: the plan then chooses `micro_sequences`, for each size as many as are estimated to
    /// fit. The plan chooses instead of the worker because the choice changes the last bits of a loss.
    #[schemars(range(min = 0.001, max = 1_000_000.0))]
    pub memory_gib: Option<f64>,
    /// How many sums the gradients of the passes are first added to, at most `sequences / micro_sequences`; absent, each pass
    /// is added to the one before. Several devices that train one stage send each other a sum per lane instead of a
    /// gradient per pass. The recipe sets it because it changes the last bits of a loss.
    #[schemars(range(min = 1, max = 65_536))]
    pub lanes: Option<u32>,
}

/// AdamW and gradient clipping.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizerRecipe {
    /// Peak learning rates; each trains every model once.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1e-12, max = 10.0)))]
    pub peak_lr: Vec<f64>,
    /// Decay of the first moment.
    #[serde(default = "defaults::beta1")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[serde(default = "defaults::beta2")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// Added to the square root of the second moment.
    #[serde(default = "defaults::eps")]
    #[schemars(range(max = 0.1), extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Decoupled weight decay, on matrices and the embedding.
    #[serde(default = "defaults::weight_decay")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: f64,
    /// The gradient is scaled down to this global norm.
    #[serde(default = "defaults::clip_norm")]
    #[schemars(range(max = 1e9), extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: f64,
    /// A run diverges, and ends, at the first step whose loss exceeds ln(vocabulary), the loss of a model that knows
    /// nothing, by more than this many nats. If absent, only NaN or infinity ends it.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub divergence_margin: Option<f64>,
}

/// How often a stage is retried before it is given up, depending on how its attempts ended. The campaign continues
/// without a stage that is given up. If several campaigns want a stage, the most generous limits apply.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetriesRecipe {
    /// Attempts that may never begin to train before the stage is given up, since it last got further.
    #[serde(default = "defaults::not_started")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub not_started: u32,
    /// Attempts that may lose their worker, or be handed back by it, since the stage last got further.
    #[serde(default = "defaults::preempted")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub preempted: u32,
    /// Attempts that may end in an error.
    #[serde(default = "defaults::failed")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub failed: u32,
    /// The wait before a stage that failed, or did not start, is tried again. It doubles each time.
    #[serde(default = "defaults::backoff_seconds")]
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub backoff_seconds: f64,
    /// The longest wait.
    #[serde(default = "defaults::longest_backoff_seconds")]
    #[schemars(range(min = 0.0, max = 86_400.0))]
    pub longest_backoff_seconds: f64,
}

/// Which checkpoints are kept, how much room they may take, and how often they are taken.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointsRecipe {
    /// Room for the committed checkpoints of the campaign's stages, in GiB. When it is used up, unneeded ones are
    /// removed, the oldest first. No limit if absent.
    #[schemars(range(min = 0.000_001, max = 1e9))]
    pub quota_gib: Option<f64>,
    /// Whose final checkpoints are kept when room is short: those of all trials, or of the best trial of each size.
    #[serde(default = "defaults::keep")]
    pub keep: Keep,
    /// The shortest training time between two checkpoints of a stage, in seconds.
    #[serde(default = "defaults::min_interval_seconds")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_interval_seconds: u64,
    /// The longest, in seconds. In between, the interval follows from the cost of a checkpoint and from how often
    /// workers are lost.
    #[serde(default = "defaults::max_interval_seconds")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_interval_seconds: u64,
}

/// What is recorded of training in addition to losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRecipe {
    /// The stages in which gradients and weights are followed step by step: how gradients turn, slope and curvature
    /// along the updates, and the largest change of a weight. Stages that record are trained anew.
    #[serde(default)]
    pub dynamics: RecordedStages,
}

/// Stages that record dynamics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedStages {
    /// None.
    #[default]
    None,
    /// The decays of `wsd`. The trunk is shared with a campaign that records nothing.
    Decay,
    /// All stages.
    All,
}

impl Default for CheckpointsRecipe {
    fn default() -> Self {
        let CheckpointPolicy { keep, min_interval_seconds, max_interval_seconds, .. } = CheckpointPolicy::default();
        Self { quota_gib: None, keep, min_interval_seconds, max_interval_seconds }
    }
}

impl CheckpointsRecipe {
    pub(crate) fn policy(&self) -> CheckpointPolicy {
        let Self { quota_gib, keep, min_interval_seconds, max_interval_seconds } = *self;
        let quota_bytes = quota_gib.map(|gib| (gib * f64::from(1 << 30)) as u64);
        // If they are the wrong way round, the longest interval wins.
        let min_interval_seconds = min_interval_seconds.min(max_interval_seconds);
        CheckpointPolicy { quota_bytes, keep, min_interval_seconds, max_interval_seconds }
    }
}

/// Defaults: the paper's values, or those of its published code.
mod defaults {
    use vocabulary::{AdamW, CheckpointPolicy, Keep, ModelSpec, Precision, Retries};

    pub(super) fn seeds() -> Vec<u64> {
        vec![0]
    }
    pub(super) fn precision() -> Precision {
        Precision::Fp32
    }
    pub(super) fn validation_fraction() -> f64 {
        0.06
    }
    pub(super) fn tied() -> bool {
        true
    }
    pub(super) fn rope_theta() -> f64 {
        ModelSpec::ROPE_THETA
    }
    pub(super) fn norm_eps() -> f64 {
        ModelSpec::NORM_EPS
    }
    pub(super) fn beta1() -> f64 {
        AdamW::PAPER.beta1
    }
    pub(super) fn beta2() -> f64 {
        AdamW::PAPER.beta2
    }
    pub(super) fn eps() -> f64 {
        AdamW::PAPER.eps
    }
    pub(super) fn weight_decay() -> f64 {
        AdamW::PAPER.weight_decay
    }
    pub(super) fn keep() -> Keep {
        CheckpointPolicy::default().keep
    }
    pub(super) fn min_interval_seconds() -> u64 {
        CheckpointPolicy::default().min_interval_seconds
    }
    pub(super) fn max_interval_seconds() -> u64 {
        CheckpointPolicy::default().max_interval_seconds
    }
    pub(super) fn clip_norm() -> f64 {
        AdamW::PAPER.clip_norm
    }
    pub(super) fn not_started() -> u32 {
        Retries::DEFAULT.not_started
    }
    pub(super) fn preempted() -> u32 {
        Retries::DEFAULT.preempted
    }
    pub(super) fn failed() -> u32 {
        Retries::DEFAULT.failed
    }
    pub(super) fn backoff_seconds() -> f64 {
        Retries::DEFAULT.backoff_ms as f64 / 1e3
    }
    pub(super) fn longest_backoff_seconds() -> f64 {
        Retries::DEFAULT.longest_backoff_ms as f64 / 1e3
    }
}
