//! The operations the network is made of.
//!
//! Each has two implementations with one meaning: [`plain`], the formula in burn's tensor operations, which any backend
//! runs and differentiates; and `flex`, a fused kernel with its own backward pass for 32-bit floats on the CPU backend,
//! registered through burn's backend extension. [`blocked`] cuts the two formulas that would not fit a device. The
//! functions here pick by the device and the type of their argument. Tests hold the implementations against each other.

pub mod blocked;
mod flex;
pub mod plain;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, FloatDType, Int, Tensor};
use vocabulary::Precision;

use crate::rope::RopeTable;

/// How queries, keys and values lie side by side in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionLayout {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
}

impl AttentionLayout {
    /// Channels of all queries.
    #[must_use]
    pub fn query_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Channels of all keys, and of all values.
    #[must_use]
    pub fn key_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Channels of queries, keys and values together.
    #[must_use]
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.key_width()
    }

    /// Query heads that share a key head.
    #[must_use]
    pub fn group_size(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// What scores are multiplied by: 1 / sqrt(head_dim).
    #[must_use]
    pub fn score_scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// Whether the fused kernels serve this device: it is the CPU backend's.
#[must_use]
pub fn is_fused(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether the fused kernels serve this tensor: they know 32-bit floats alone.
fn has_kernels(tensor: &Tensor<2>) -> bool {
    tensor.dtype() == DType::F32 && is_fused(&tensor.device())
}

/// The residual stream in the format that activations have in this precision.
///
/// The CPU's kernels keep 32 bits, and round where they multiply.
#[must_use]
pub fn activations(stream: Tensor<2>, precision: Precision) -> Tensor<2> {
    match precision {
        Precision::Bf16 if !has_kernels(&stream) => stream.cast(FloatDType::BF16),
        Precision::Fp32 | Precision::Bf16 => stream,
    }
}

/// Unnormalised log-probabilities: `hidden * weight^T * scale`, in the format of `hidden`.
///
/// # Shapes
/// - `hidden`: `[tokens, d_model]`; `weight`: `[vocab, d_model]`; returns `[tokens, vocab]`.
#[must_use]
pub fn logits(hidden: Tensor<2>, weight: Tensor<2>, scale: f32) -> Tensor<2> {
    let number = hidden.dtype();
    hidden.matmul(weight.transpose().cast(number)).mul_scalar(scale)
}

/// `left * right`, outside any graph, for benchmarks of matrix products.
///
/// # Shapes
/// - `left`: `[m, k]`; `right`: `[k, n]`; returns `[m, n]`.
#[must_use]
pub fn product(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    if has_kernels(&left) { flex::product(left, right) } else { left.matmul(right) }
}

/// Rows of an embedding table, times `scale`.
///
/// # Shapes
/// - `table`: `[vocab, d_model]`; `tokens`: `[tokens]`; returns `[tokens, d_model]`.
#[must_use]
pub fn embedding(table: Tensor<2>, tokens: Tensor<1, Int>, scale: f32) -> Tensor<2> {
    if has_kernels(&table) { flex::embedding(table, tokens, scale) } else { plain::embedding(table, tokens, scale) }
}

/// `x / sqrt(mean(x^2) + eps) * gain`, over the channels of each token.
///
/// # Shapes
/// - `input`: `[tokens, d_model]`; `gain`: `[d_model]`; returns `[tokens, d_model]`.
#[must_use]
pub fn rms_norm(input: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    if has_kernels(&input) { flex::rms_norm(input, gain, eps) } else { plain::rms_norm(input, gain, eps) }
}

/// `rms_norm(input, gain) * weight`.
///
/// # Shapes
/// - `input`: `[tokens, d_model]`; `gain`: `[d_model]`; `weight`: `[d_model, to]`; returns `[tokens, to]`.
#[must_use]
pub fn norm_linear(input: Tensor<2>, gain: Tensor<1>, weight: Tensor<2>, eps: f32, precision: Precision) -> Tensor<2> {
    if has_kernels(&input) {
        flex::norm_linear(input, gain, weight, eps, precision)
    } else {
        plain::norm_linear(input, gain, weight, eps)
    }
}

/// Causal attention with rotary position embedding, sequence by sequence.
///
/// # Shapes
/// - `qkv`: `[batch * context, layout.qkv_width()]`, not yet rotated;
/// - returns `[batch * context, layout.query_width()]`.
#[must_use]
pub fn causal_attention(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Tensor<2> {
    let [tokens, width] = qkv.dims();
    assert_eq!(width, layout.qkv_width(), "queries, keys and values side by side");
    assert_eq!(tokens % context, 0, "whole sequences");
    assert!(context <= rope.context(), "a context of {context} in a table for {}", rope.context());
    if has_kernels(&qkv) {
        flex::causal_attention(qkv, layout, context, rope)
    } else {
        blocked::causal_attention(qkv, layout, context, rope)
    }
}

/// `stream + scale * (input * weight)`.
///
/// # Shapes
/// - `stream`: `[tokens, d_model]`; `input`: `[tokens, from]`; `weight`: `[from, d_model]`; returns `[tokens, d_model]`.
#[must_use]
pub fn linear_residual(
    stream: Tensor<2>,
    input: Tensor<2>,
    weight: Tensor<2>,
    scale: f32,
    precision: Precision,
) -> Tensor<2> {
    if has_kernels(&stream) {
        flex::linear_residual(stream, input, weight, scale, precision)
    } else {
        plain::linear_residual(stream, input, weight, scale)
    }
}

/// `stream + scale * ((silu(gate) * up) * weight)`, with gate and up side by side.
///
/// # Shapes
/// - `stream`: `[tokens, d_model]`; `gate_up`: `[tokens, 2 * d_ff]`; `weight`: `[d_ff, d_model]`; returns
///   `[tokens, d_model]`.
#[must_use]
pub fn swiglu_residual(
    stream: Tensor<2>,
    gate_up: Tensor<2>,
    weight: Tensor<2>,
    scale: f32,
    precision: Precision,
) -> Tensor<2> {
    if has_kernels(&stream) {
        flex::swiglu_residual(stream, gate_up, weight, scale, precision)
    } else {
        plain::swiglu_residual(stream, gate_up, weight, scale)
    }
}

/// The loss at the head.
#[derive(Debug, Clone)]
pub struct HeadLoss {
    /// What is differentiated, `[1]`: the cross-entropy, and the z-loss times its weight.
    pub objective: Tensor<1>,
    /// The mean cross-entropy alone, `[1]`, in nats: a value to report, through which nothing is differentiated.
    pub cross_entropy: Tensor<1>,
}

impl HeadLoss {
    /// The loss at a head that adds nothing to the cross-entropy.
    fn of(cross_entropy: Tensor<1>) -> Self {
        Self { objective: cross_entropy.clone(), cross_entropy }
    }
}

/// Cross-entropies, in nats, without differentiation.
#[derive(Debug, Clone)]
pub struct TokenLosses {
    /// Their mean, `[1]`: to the bit that of [`cross_entropy`].
    pub mean: Tensor<1>,
    /// That of each token, `[tokens]`.
    pub each: Tensor<1>,
}

/// What [`cross_entropy`] is the mean of, without differentiation.
///
/// # Shapes
/// - as [`cross_entropy`].
#[must_use]
pub fn token_losses(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    precision: Precision,
) -> TokenLosses {
    if has_kernels(&hidden) {
        flex::token_losses(hidden, weight, targets, logit_scale, precision)
    } else {
        blocked::token_losses(hidden, weight, targets, logit_scale)
    }
}

/// Mean cross-entropy, in nats, of the targets under the logits `hidden * weight^T * logit_scale`.
///
/// # Shapes
/// - `hidden`: `[tokens, d_model]`; `weight`: `[vocab, d_model]`; `targets`: `[tokens]`; returns `[1]`.
#[must_use]
pub fn cross_entropy(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    precision: Precision,
) -> Tensor<1> {
    head_loss(hidden, weight, targets, logit_scale, 0.0, precision).objective
}

/// Mean cross-entropy plus `z_weight` times the z-loss, under the logits of [`cross_entropy`].
///
/// The z-loss is the mean over tokens of `logsumexp(logits)^2`. It keeps the logits from drifting off together, which the
/// cross-entropy does not notice (section 5 of the PaLM paper, arXiv 2204.02311). A weight of zero leaves it out.
///
/// # Shapes
/// - `hidden`: `[tokens, d_model]`; `weight`: `[vocab, d_model]`; `targets`: `[tokens]`.
#[must_use]
pub fn head_loss(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    z_weight: f32,
    precision: Precision,
) -> HeadLoss {
    if has_kernels(&hidden) {
        flex::head_loss(hidden, weight, targets, logit_scale, z_weight, precision)
    } else {
        blocked::head_loss(hidden, weight, targets, logit_scale, z_weight)
    }
}
