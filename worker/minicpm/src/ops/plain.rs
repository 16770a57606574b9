//! The operations as formulas in burn's tensor operations: what the fused kernels must agree with, and what every other
//! backend runs. Shapes are those of the functions of the same names in [`super`].
//!
//! Activations may be in bfloat16: then so are the matrix products, for which weights are cast as they are used, while
//! weights themselves, means, softmax, rotations and the cross-entropy stay in 32 bits. In 32 bits the casts do nothing.

use std::ops::Range;

use burn::tensor::activation::{silu, softmax};
use burn::tensor::{Bool, FloatDType, Int, Tensor, TensorData};

use super::{AttentionLayout, HeadLoss, TokenLosses};
use crate::rope::RopeTable;

/// See [`super::embedding`].
#[must_use]
pub fn embedding(table: Tensor<2>, tokens: Tensor<1, Int>, scale: f32) -> Tensor<2> {
    table.select(0, tokens).mul_scalar(scale) // rows
}

/// See [`super::rms_norm`].
#[must_use]
pub fn rms_norm(input: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    let number = input.dtype();
    let input = input.cast(FloatDType::F32);
    let mean_square = input.clone().square().mean_dim(1); // over channels: [tokens, 1]
    let inverse_rms = mean_square.add_scalar(eps).sqrt().recip();
    (input * inverse_rms * gain.unsqueeze()).cast(number)
}

/// See [`super::norm_linear`].
#[must_use]
pub fn norm_linear(input: Tensor<2>, gain: Tensor<1>, weight: Tensor<2>, eps: f32) -> Tensor<2> {
    linear(rms_norm(input, gain, eps), weight)
}

/// See [`super::causal_attention`].
#[must_use]
pub fn causal_attention(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Tensor<2> {
    let [tokens, _] = qkv.dims();
    let mixed = Heads::of(qkv, layout, context, rope).attend(0..context); // [batch, heads, context, head_dim]
    mixed.swap_dims(1, 2).reshape([tokens, layout.query_width()])
}

/// Queries, keys and values by head, rotated: each `[batch, n_heads, context, head_dim]`.
pub(super) struct Heads {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    score_scale: f32,
}

impl Heads {
    pub(super) fn of(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Self {
        let [tokens, _] = qkv.dims();
        let batch = tokens / context;
        let (device, number) = (qkv.device(), qkv.dtype());
        let AttentionLayout { n_heads, n_kv_heads, head_dim } = layout;
        let half = head_dim / 2;

        let table = |values: &[f32]| {
            let data = TensorData::new(values[..context * half].to_vec(), [1, 1, context, half]);
            Tensor::<4>::from_data(data, &device)
        };
        let (cos, sin) = (table(rope.cos()), table(rope.sin()));
        let rotate = |x: Tensor<4>| {
            let x = x.cast(FloatDType::F32);
            let first = x.clone().narrow(3, 0, half); // channels
            let second = x.narrow(3, half, half); // channels
            let turned = first.clone() * cos.clone() - second.clone() * sin.clone();
            let turned_too = second * cos.clone() + first * sin.clone();
            Tensor::cat(vec![turned, turned_too], 3).cast(number) // channels
        };
        let heads = |from: usize, count: usize| {
            let columns = qkv.clone().narrow(1, from, count * head_dim); // channels
            columns.reshape([batch, context, count, head_dim]).swap_dims(1, 2) // [batch, heads, context, head_dim]
        };
        let shared = |x: Tensor<4>| {
            let each = x.reshape([batch, n_kv_heads, 1, context * head_dim]).repeat_dim(2, layout.group_size());
            each.reshape([batch, n_heads, context, head_dim])
        };
        Self {
            query: rotate(heads(0, n_heads)),
            key: shared(rotate(heads(layout.query_width(), n_kv_heads))),
            value: shared(heads(layout.query_width() + layout.key_width(), n_kv_heads)),
            score_scale: layout.score_scale(),
        }
    }

    /// What these positions see of themselves and of those before them.
    ///
    /// # Shapes
    /// - returns `[batch, n_heads, positions, head_dim]`.
    pub(super) fn attend(&self, positions: Range<usize>) -> Tensor<4> {
        let (count, seen) = (positions.len(), positions.end);
        let query = self.query.clone().narrow(2, positions.start, count); // positions
        let key = self.key.clone().narrow(2, 0, seen); // positions
        let value = self.value.clone().narrow(2, 0, seen); // positions
        let scores = query.matmul(key.transpose()).cast(FloatDType::F32); // [batch, heads, count, seen]
        let future = Tensor::<2, Bool>::tril_mask([count, seen], positions.start as i64, &scores.device());
        let scores = scores.mul_scalar(self.score_scale).mask_fill(future.unsqueeze(), f32::NEG_INFINITY);
        let number = value.dtype();
        softmax(scores, 3).cast(number).matmul(value) // over keys
    }
}

/// `input * weight`, in the format of the input.
pub(super) fn linear(input: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let number = input.dtype();
    input.matmul(weight.cast(number))
}

/// See [`super::linear_residual`].
#[must_use]
pub fn linear_residual(stream: Tensor<2>, input: Tensor<2>, weight: Tensor<2>, scale: f32) -> Tensor<2> {
    stream + linear(input, weight).mul_scalar(scale)
}

/// See [`super::swiglu_residual`].
#[must_use]
pub fn swiglu_residual(stream: Tensor<2>, gate_up: Tensor<2>, weight: Tensor<2>, scale: f32) -> Tensor<2> {
    let [_, width] = gate_up.dims();
    let gate = gate_up.clone().narrow(1, 0, width / 2); // channels
    let up = gate_up.narrow(1, width / 2, width / 2); // channels
    linear_residual(stream, silu(gate) * up, weight, scale)
}

/// See [`super::cross_entropy`].
#[must_use]
pub fn cross_entropy(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>, logit_scale: f32) -> Tensor<1> {
    head_loss(hidden, weight, targets, logit_scale, 0.0).objective
}

/// What a token's losses are made of, `[tokens, 1]`.
struct Logarithms {
    /// The logarithm of the sum of the exponentials of its logits.
    log_sum: Tensor<2>,
    /// The logit of its target.
    of_target: Tensor<2>,
}

fn logarithms(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>, logit_scale: f32) -> Logarithms {
    let [tokens, _] = hidden.dims();
    let logits = linear(hidden, weight.transpose()).cast(FloatDType::F32).mul_scalar(logit_scale); // [tokens, vocab]
    let highest = logits.clone().detach().max_dim(1); // over the vocabulary
    let log_sum = (logits.clone() - highest.clone()).exp().sum_dim(1).log() + highest;
    let of_target = logits.gather(1, targets.reshape([tokens, 1])); // over the vocabulary
    Logarithms { log_sum, of_target }
}

/// Along a dimension: sums of all of a tensor have no fixed order on GPUs.
fn mean(of_tokens: Tensor<2>) -> Tensor<1> {
    of_tokens.mean_dim(0).reshape([1]) // tokens
}

/// See [`super::token_losses`].
#[must_use]
pub fn token_losses(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>, logit_scale: f32) -> TokenLosses {
    let [tokens, _] = hidden.dims();
    let Logarithms { log_sum, of_target } = logarithms(hidden, weight, targets, logit_scale);
    let each = log_sum - of_target;
    TokenLosses { mean: mean(each.clone()), each: each.reshape([tokens]) }
}

/// See [`super::head_loss`].
#[must_use]
pub fn head_loss(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    z_weight: f32,
) -> HeadLoss {
    let Logarithms { log_sum, of_target } = logarithms(hidden, weight, targets, logit_scale);
    let cross_entropy = mean(log_sum.clone() - of_target);
    if z_weight == 0.0 {
        return HeadLoss::of(cross_entropy);
    }
    let z_loss = mean(log_sum.square());
    HeadLoss { objective: cross_entropy.clone() + z_loss.mul_scalar(z_weight), cross_entropy: cross_entropy.detach() }
}
