//! The network.
//!
//! A Llama-like decoder, with these departures from a textbook transformer:
//!
//! * RMSNorm before each block's two parts and before the head; no biases anywhere (section 2 of the paper);
//! * rotary position embedding, SwiGLU, grouped-query attention (section 5.1);
//! * the head multiplies with the embedding table, where `tied` (section 5.1);
//! * Tensor-Program scalings (Table 7): the embedding's output is multiplied by `scale_emb`, each block's two outputs by
//!   `scale_depth / sqrt(n_layers)`, the head's input by `d_base / d_model`; matrices start at
//!   `init_std / sqrt(d_model / d_base)`, the embedding at `init_std`, gains at one (the table says 0.1 of "other
//!   parameters", the published code ones). [`ModelSpec::param_groups`] is the table of them.
//!
//! Activations are kept as `[tokens, width]` with `tokens = batch * context`: the matrices do not care which sequence a
//! token belongs to, and the one operation that does, [`ops::causal_attention`], is told.

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Int, Tensor};
use vocabulary::{ModelSpec, Precision};

use crate::init::Initializer;
use crate::ops::{self, AttentionLayout, HeadLoss, TokenLosses};
use crate::rope::RopeTable;

/// A model's configuration: its spec and the number of tokens in a sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MiniCpmConfig {
    /// Everything that decides its arithmetic.
    pub spec: ModelSpec,
    /// The longest sequence it will see.
    pub context: usize,
}

/// The network.
#[derive(Module, Debug)]
pub struct MiniCpm {
    /// `[vocab, d_model]`.
    embedding: Param<Tensor<2>>,
    pub(crate) blocks: Vec<Block>,
    norm: RmsNorm,
    /// `[vocab, d_model]`; `None` where the embedding serves as the head.
    head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    scale_emb: f32,
    #[module(skip)]
    logit_scale: f32,
    /// Of matrix products; weights have 32 bits.
    #[module(skip)]
    pub(crate) precision: Precision,
    /// Whether activations are in bfloat16 on a CPU too.
    #[module(skip)]
    as_on_a_gpu: bool,
}

/// Attention and feed-forward, each normalised before and scaled after.
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) attention_norm: RmsNorm,
    pub(crate) attention: Attention,
    pub(crate) mlp_norm: RmsNorm,
    pub(crate) mlp: Mlp,
    #[module(skip)]
    pub(crate) residual_scale: f32,
}

#[derive(Module, Debug)]
pub(crate) struct Attention {
    /// Queries, keys and values side by side: `[d_model, (n_heads + 2 * n_kv_heads) * head_dim]`.
    qkv: Param<Tensor<2>>,
    /// `[n_heads * head_dim, d_model]`.
    out: Param<Tensor<2>>,
    #[module(skip)]
    layout: AttentionLayout,
    #[module(skip)]
    rope: RopeTable,
}

/// SwiGLU.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    /// Gate and up side by side: `[d_model, 2 * d_ff]`.
    gate_up: Param<Tensor<2>>,
    /// `[d_ff, d_model]`.
    down: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    /// `[d_model]`.
    gain: Param<Tensor<1>>,
    #[module(skip)]
    eps: f32,
}

impl MiniCpmConfig {
    /// A model with the initial values of a seed.
    #[must_use]
    pub fn init(&self, seed: u64, device: &Device) -> MiniCpm {
        let spec = &self.spec;
        let layout = AttentionLayout {
            n_heads: spec.shape.n_heads as usize,
            n_kv_heads: spec.shape.n_kv_heads as usize,
            head_dim: spec.shape.head_dim as usize,
        };
        let rope = RopeTable::new(self.context, layout.head_dim, spec.rope_theta);

        // Shapes and initial values are those of the spec's table of parameters, by the paths given here.
        let initial = Initializer::new(spec, seed);
        let matrix = |path: String| initial.parameter::<2>(&path, device);
        let norm = |path: String| RmsNorm {
            gain: initial.parameter(&format!("{path}.gain"), device),
            eps: spec.norm_eps as f32,
        };

        let block = |index: u32| Block {
            attention_norm: norm(format!("blocks.{index}.attention_norm")),
            attention: Attention {
                qkv: matrix(format!("blocks.{index}.attention.qkv")),
                out: matrix(format!("blocks.{index}.attention.out")),
                layout,
                rope: rope.clone(),
            },
            mlp_norm: norm(format!("blocks.{index}.mlp_norm")),
            mlp: Mlp {
                gate_up: matrix(format!("blocks.{index}.mlp.gate_up")),
                down: matrix(format!("blocks.{index}.mlp.down")),
            },
            residual_scale: spec.residual_scale() as f32,
        };
        MiniCpm {
            embedding: matrix("embedding".to_owned()),
            blocks: (0..spec.shape.n_layers).map(block).collect(),
            norm: norm("norm".to_owned()),
            head: (!spec.tied).then(|| matrix("head".to_owned())),
            scale_emb: spec.tensor_program.scale_emb as f32,
            logit_scale: (1.0 / spec.width_ratio()) as f32,
            precision: Precision::Fp32,
            as_on_a_gpu: false,
        }
    }
}

impl MiniCpm {
    /// The same model with matrix products in this number format: 32 bits unless it is said here.
    ///
    /// The CPU's kernels round the factors of a product, and keep activations in 32 bits. Elsewhere the residual stream
    /// starts in this format, and every operation keeps to what it is given: [`ops::plain`] says where 32 bits stay.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same model in bfloat16 as a GPU has it, activations included, on any device: the CPU runs the formulas then, by
    /// way of 32 bits. No stage trains like this; it tests without a GPU what a GPU runs.
    #[must_use]
    pub fn in_bf16_as_on_a_gpu(self) -> Self {
        Self { precision: Precision::Bf16, as_on_a_gpu: true, ..self }
    }

    /// Mean cross-entropy of the next token, in nats.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`, tokens;
    /// - `targets`: `[batch * context]`, the token after each;
    /// - returns `[1]`.
    #[must_use]
    pub fn loss(&self, inputs: Tensor<2, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.head_loss(self.stream(inputs), targets, 0.0).objective
    }

    /// What [`Self::loss`] is the mean of, without differentiation. The model must be outside any graph.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`, tokens;
    /// - `targets`: `[batch * context]`, the token after each.
    #[must_use]
    pub fn token_losses(&self, inputs: Tensor<2, Int>, targets: Tensor<1, Int>) -> TokenLosses {
        let hidden = self.norm.forward(self.stream(inputs));
        ops::token_losses(hidden, self.head_weight(), targets, self.logit_scale, self.precision)
    }

    /// Unnormalised log-probabilities of the next token.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`;
    /// - returns `[batch * context, vocab]`.
    #[must_use]
    pub fn logits(&self, inputs: Tensor<2, Int>) -> Tensor<2> {
        self.head_logits(self.stream(inputs))
    }

    /// Where the residual stream ends.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`; returns `[batch * context, d_model]`.
    pub(crate) fn stream(&self, inputs: Tensor<2, Int>) -> Tensor<2> {
        let [_, context] = inputs.dims();
        let through = |stream, block: &Block| block.forward(stream, context, self.precision);
        self.blocks.iter().fold(self.embed(inputs), through)
    }

    /// Where the residual stream begins.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`; returns `[batch * context, d_model]`.
    pub(crate) fn embed(&self, inputs: Tensor<2, Int>) -> Tensor<2> {
        let [batch, context] = inputs.dims();
        let stream = ops::embedding(self.embedding.val(), inputs.reshape([batch * context]), self.scale_emb);
        if self.as_on_a_gpu { stream.cast(FloatDType::BF16) } else { ops::activations(stream, self.precision) }
    }

    /// The loss, from where the residual stream ends.
    ///
    /// # Shapes
    /// - `stream`: `[tokens, d_model]`; `targets`: `[tokens]`.
    pub(crate) fn head_loss(&self, stream: Tensor<2>, targets: Tensor<1, Int>, z_weight: f64) -> HeadLoss {
        let hidden = self.norm.forward(stream);
        ops::head_loss(hidden, self.head_weight(), targets, self.logit_scale, z_weight as f32, self.precision)
    }

    /// The logits, from where the residual stream ends.
    ///
    /// # Shapes
    /// - `stream`: `[tokens, d_model]`; returns `[tokens, vocab]`.
    pub(crate) fn head_logits(&self, stream: Tensor<2>) -> Tensor<2> {
        let hidden = self.norm.forward(stream);
        ops::logits(hidden, self.head_weight(), self.logit_scale)
    }

    fn head_weight(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.embedding).val()
    }
}

impl Block {
    /// # Shapes
    /// - `stream`: `[tokens, d_model]`, of sequences of `context` tokens; returns the same.
    pub(crate) fn forward(&self, stream: Tensor<2>, context: usize, precision: Precision) -> Tensor<2> {
        let stream = self.attention.add_to(stream, &self.attention_norm, context, self.residual_scale, precision);
        self.mlp.add_to(stream, &self.mlp_norm, self.residual_scale, precision)
    }
}

impl Attention {
    /// `stream + scale * attention(norm(stream))`.
    pub(crate) fn add_to(
        &self,
        stream: Tensor<2>,
        norm: &RmsNorm,
        context: usize,
        scale: f32,
        precision: Precision,
    ) -> Tensor<2> {
        let mixed = self.mix(stream.clone(), norm, context, precision);
        ops::linear_residual(stream, mixed, self.out.val(), scale, precision)
    }

    /// `attention(norm(stream))`. Training never materialises it: there it is added as it is computed.
    pub(crate) fn alone(&self, stream: Tensor<2>, norm: &RmsNorm, context: usize, precision: Precision) -> Tensor<2> {
        let nothing = stream.zeros_like();
        let mixed = self.mix(stream, norm, context, precision);
        ops::linear_residual(nothing, mixed, self.out.val(), 1.0, precision)
    }

    fn mix(&self, stream: Tensor<2>, norm: &RmsNorm, context: usize, precision: Precision) -> Tensor<2> {
        let qkv = norm.then_linear(stream, &self.qkv, precision);
        ops::causal_attention(qkv, self.layout, context, &self.rope)
    }
}

impl Mlp {
    /// `stream + scale * mlp(norm(stream))`.
    pub(crate) fn add_to(&self, stream: Tensor<2>, norm: &RmsNorm, scale: f32, precision: Precision) -> Tensor<2> {
        let gate_up = norm.then_linear(stream.clone(), &self.gate_up, precision);
        ops::swiglu_residual(stream, gate_up, self.down.val(), scale, precision)
    }

    /// `mlp(norm(stream))`, which training never materialises.
    pub(crate) fn alone(&self, stream: Tensor<2>, norm: &RmsNorm, precision: Precision) -> Tensor<2> {
        let nothing = stream.zeros_like();
        let gate_up = norm.then_linear(stream, &self.gate_up, precision);
        ops::swiglu_residual(nothing, gate_up, self.down.val(), 1.0, precision)
    }
}

impl RmsNorm {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        ops::rms_norm(input, self.gain.val(), self.eps)
    }

    fn then_linear(&self, input: Tensor<2>, weight: &Param<Tensor<2>>, precision: Precision) -> Tensor<2> {
        ops::norm_linear(input, self.gain.val(), weight.val(), self.eps, precision)
    }
}
