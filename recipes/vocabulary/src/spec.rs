//! Stages: a stretch of training steps with fixed settings, and the key that names one for ever.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dynamics::Recording;
use crate::id::{DatasetId, StageKey};
use crate::mixture::Mixture;
use crate::schedule::LrSchedule;
use crate::shape::Shape;
use crate::units::{Flops, Tokens};

/// Raised whenever the trainer's arithmetic changes, so that no result of the old one is taken for one of the new.
pub const NUMERICS_VERSION: u32 = 2;

/// The Tensor-Program scalings that let hyper-parameters of a narrow model serve a wide one (Table 7 of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TensorProgram {
    /// The embedding's output is multiplied by this.
    pub scale_emb: f64,
    /// Each block's two outputs are multiplied by this over sqrt(L) before they join the residual stream.
    pub scale_depth: f64,
    /// Standard deviation of the embedding's initial values; of a matrix's after division by sqrt(d_model / d_base).
    pub init_std: f64,
    /// The width at which the scalings do nothing: matrices train at lr / (d_model / d_base), and logits are divided by
    /// the same ratio. 256 in the paper's code, which the paper itself never prints.
    pub d_base: u32,
}

/// A model, by everything that decides its arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Its dimensions.
    pub shape: Shape,
    /// Entries of the embedding table.
    pub vocab: u32,
    /// Whether the head multiplies with the embedding table.
    pub tied: bool,
    /// How its parts are scaled.
    pub tensor_program: TensorProgram,
    /// Base of the rotary position embedding.
    pub rope_theta: f64,
    /// Added to the mean square inside RMSNorm.
    pub norm_eps: f64,
}

/// What one optimiser step consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Sequences per optimiser step.
    pub sequences: u32,
    /// Tokens per sequence.
    pub context: u32,
    /// Sequences per forward and backward pass; gradients accumulate over `sequences / micro_sequences` passes.
    pub micro_sequences: u32,
}

/// AdamW with decoupled weight decay and clipping by the global gradient norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
    /// Fraction of a parameter taken away at each step, times its learning rate. RMSNorm gains are not decayed.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global L2 norm.
    pub clip_norm: f64,
}

/// The number format of activations; weights and optimiser state are always 32-bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// bfloat16.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        })
    }
}

/// All that decides the numbers of a stage, apart from its parent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The model.
    pub model: ModelSpec,
    /// Seed of the initial weights.
    pub init_seed: u64,
    /// The tokens.
    pub data: DatasetId,
    /// Seed of the order in which they are seen.
    pub order_seed: u64,
    /// The first step of the stage, counted from the root.
    pub start_step: u64,
    /// One past its last step.
    pub end_step: u64,
    /// The learning rate as a fraction of `peak_lr`, in its simplest form over these steps.
    pub schedule: LrSchedule,
    /// Peak learning rate, eta in the paper.
    pub peak_lr: f64,
    /// What a step consumes.
    pub batch: Batch,
    /// How weights are updated.
    pub optimizer: AdamW,
    /// The number format.
    pub precision: Precision,
    /// Tokens of the validation set that the loss at the end of the stage is measured on.
    pub validation_tokens: u64,
    /// The loss of a step, in nats a token, above which the stage has diverged, and ends. Where there is none, only a
    /// loss that is no finite number ends it; the key is then the one from before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_limit: Option<f64>,
    /// What it records beside its losses. A stage that records has a key of its own, though its numbers are those of the
    /// one that does not: a campaign that asks for the recording trains what was trained without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// How its sequences are shared out among the domains of its data; `None` where the data has none. The key is then
    /// the one from before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixture: Option<Mixture>,
    /// [`NUMERICS_VERSION`] of the trainer that runs it.
    pub numerics_version: u32,
}

impl StageSpec {
    /// The stage's name for ever: a hash of this spec and of the parent's key.
    #[must_use]
    pub fn key(&self, parent: Option<&StageKey>) -> StageKey {
        // JSON with fields in the order they are declared and floats in their shortest exact form: one text per value.
        // It holds for floats that are finite, which `Recipe` sees to.
        let spec = serde_json::to_vec(self).expect("a stage spec always has a JSON form");
        let mut content = parent.map_or_else(|| vec![0], |key| [&[1], key.as_bytes().as_slice()].concat());
        content.extend_from_slice(&spec);
        StageKey::from_content(&content)
    }

    /// The steps of the stage.
    #[must_use]
    pub fn steps(&self) -> Range<u64> {
        self.start_step..self.end_step
    }

    /// Tokens it trains on.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens((self.end_step - self.start_step) * self.batch.tokens())
    }

    /// Operations it costs, validation left out.
    #[must_use]
    pub fn flops(&self) -> Flops {
        let per_token = self.model.shape.training_flops_per_token(self.model.vocab, self.batch.context);
        Flops(per_token.0 * self.tokens().0 as f64)
    }

    /// Whether a step with this loss is the last one: it is a question about one step and no other, so that a run that is
    /// resumed ends where the undisturbed one does.
    #[must_use]
    pub fn diverges_with(&self, loss: f64) -> bool {
        !loss.is_finite() || self.loss_limit.is_some_and(|limit| loss > limit)
    }

    /// The learning rate of a step, before the multiplier of a parameter group.
    #[must_use]
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.peak_lr * self.schedule.factor(step)
    }
}

impl Batch {
    /// Tokens per optimiser step.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        u64::from(self.sequences) * u64::from(self.context)
    }
}

impl AdamW {
    /// The paper's values, or those of its published code.
    pub const PAPER: Self = Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, clip_norm: 1.0 };
}

impl TensorProgram {
    /// The paper's values, with the base width of its published code.
    pub const PAPER: Self = Self { scale_emb: 12.0, scale_depth: 1.4, init_std: 0.1, d_base: 256 };

    /// Standard deviation of an ordinary transformer's initial values: GPT-2's, and the default of the configurations in
    /// Hugging Face transformers (`initializer_range`).
    pub const STANDARD_INIT_STD: f64 = 0.02;

    /// The ordinary parametrisation of a shape: the values under which no scaling does anything to it, exactly. So that a
    /// stage that is trained without scalings is a stage like any other.
    #[must_use]
    pub fn standard(shape: &Shape, init_std: f64) -> Self {
        Self { scale_emb: 1.0, scale_depth: f64::from(shape.n_layers).sqrt(), init_std, d_base: shape.d_model }
    }
}

impl ModelSpec {
    /// Base of the rotary position embedding in the paper's models.
    pub const ROPE_THETA: f64 = 10_000.0;

    /// What the paper's models add to the mean square inside RMSNorm.
    pub const NORM_EPS: f64 = 1e-5;

    /// A model as the paper's: with its scalings, and a head that is the embedding.
    #[must_use]
    pub fn paper(shape: Shape, vocab: u32) -> Self {
        let (tensor_program, rope_theta, norm_eps) = (TensorProgram::PAPER, Self::ROPE_THETA, Self::NORM_EPS);
        Self { shape, vocab, tied: true, tensor_program, rope_theta, norm_eps }
    }

    /// d_model / d_base: by how much the model is wider than the one the hyper-parameters were found on.
    #[must_use]
    pub fn width_ratio(&self) -> f64 {
        f64::from(self.shape.d_model) / f64::from(self.tensor_program.d_base)
    }

    /// scale_depth / sqrt(L): what each block's two outputs are multiplied by.
    #[must_use]
    pub fn residual_scale(&self) -> f64 {
        self.tensor_program.scale_depth / f64::from(self.shape.n_layers).sqrt()
    }

    /// Standard deviation of the initial values of the matrices inside blocks.
    #[must_use]
    pub fn matrix_init_std(&self) -> f64 {
        self.tensor_program.init_std / self.width_ratio().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::stage as spec;

    #[test]
    fn keys_depend_on_the_spec_and_on_the_parent() {
        let root = spec().key(None);
        assert_eq!(root, spec().key(None));
        assert_ne!(root, spec().key(Some(&root)));
        assert_ne!(root, StageSpec { peak_lr: 0.01 + 1e-18_f64.max(f64::EPSILON), ..spec() }.key(None));
    }

    #[test]
    fn the_key_of_a_known_spec_never_changes() {
        // A change here means that every result in every store is orphaned. Raise NUMERICS_VERSION rather than edit this
        // line, unless the form of the spec itself had to change.
        assert_eq!(spec().key(None).short(), "stage_a2850851");
    }

    #[test]
    fn a_loss_diverges_above_the_limit_and_where_it_is_no_number() {
        let limited = StageSpec { loss_limit: Some(9.5), ..spec() };
        assert_eq!([9.5, 9.5_f64.next_up(), f64::NAN].map(|loss| limited.diverges_with(loss)), [false, true, true]);
        assert_eq!([1e9, f64::INFINITY].map(|loss| spec().diverges_with(loss)), [false, true]);
        assert_ne!(limited.key(None), spec().key(None));
    }

    #[test]
    fn the_standard_parametrisation_scales_nothing_to_the_bit() {
        for (name, shape) in crate::ladder::all() {
            let tensor_program = TensorProgram::standard(&shape, TensorProgram::STANDARD_INIT_STD);
            let model = ModelSpec { tensor_program, ..ModelSpec::paper(shape, 300) };
            let scalings = [tensor_program.scale_emb, model.residual_scale(), model.width_ratio()];
            assert_eq!(scalings, [1.0; 3], "{name}");
            for group in model.param_groups() {
                assert_eq!(group.lr_multiplier, 1.0, "{name}: {}", group.path);
                assert!(group.init_std.is_none_or(|std| std == 0.02), "{name}: {}", group.path);
            }
        }
    }

    #[test]
    fn a_mixture_is_part_of_the_key() {
        let of = |weights: &[f64]| StageSpec { mixture: Mixture::of(weights), ..spec() }.key(None);
        assert_ne!(of(&[1.0, 1.0]), spec().key(None));
        assert_ne!(of(&[1.0, 1.0]), of(&[1.0, 2.0]));
        assert_eq!(of(&[1.0, 1.0]), of(&[0.5, 0.5]));
    }

    #[test]
    fn specs_survive_json() {
        for spec in [spec(), StageSpec { mixture: Mixture::of(&[0.3, 0.7]), ..spec() }] {
            let json = serde_json::to_string(&spec).expect("serialises");
            assert_eq!(serde_json::from_str::<StageSpec>(&json).expect("parses"), spec);
        }
    }
}
