//! The operations as formulas in burn's tensor operations: what the fused kernels must agree with, and what every other
//! backend runs. Shapes are those of the functions of the same names in [`super`].

use burn::tensor::activation::{silu, softmax};
use burn::tensor::{Int, Tensor, TensorData};

use super::AttentionLayout;
use crate::rope::RopeTable;

/// See [`super::embedding`].
#[must_use]
pub fn embedding(table: Tensor<2>, tokens: Tensor<1, Int>, scale: f32) -> Tensor<2> {
    table.select(0, tokens).mul_scalar(scale) // rows
}

/// See [`super::rms_norm`].
#[must_use]
pub fn rms_norm(input: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    let mean_square = input.clone().square().mean_dim(1); // over channels: [tokens, 1]
    let inverse_rms = mean_square.add_scalar(eps).sqrt().recip();
    input * inverse_rms * gain.unsqueeze()
}

/// See [`super::norm_linear`].
#[must_use]
pub fn norm_linear(input: Tensor<2>, gain: Tensor<1>, weight: Tensor<2>, eps: f32) -> Tensor<2> {
    rms_norm(input, gain, eps).matmul(weight)
}

/// See [`super::causal_attention`].
#[must_use]
pub fn causal_attention(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Tensor<2> {
    let [tokens, _] = qkv.dims();
    let batch = tokens / context;
    let device = qkv.device();
    let AttentionLayout { n_heads, n_kv_heads, head_dim } = layout;
    let half = head_dim / 2;

    let table = |values: &[f32]| {
        let data = TensorData::new(values[..context * half].to_vec(), [1, 1, context, half]);
        Tensor::<4>::from_data(data, &device)
    };
    let (cos, sin) = (table(rope.cos()), table(rope.sin()));
    let rotate = |x: Tensor<4>| {
        let first = x.clone().narrow(3, 0, half); // channels
        let second = x.narrow(3, half, half); // channels
        let turned = first.clone() * cos.clone() - second.clone() * sin.clone();
        let turned_too = second * cos.clone() + first * sin.clone();
        Tensor::cat(vec![turned, turned_too], 3) // channels
    };
    let heads = |from: usize, count: usize| {
        let columns = qkv.clone().narrow(1, from, count * head_dim); // channels
        columns.reshape([batch, context, count, head_dim]).swap_dims(1, 2) // [batch, heads, context, head_dim]
    };
    let shared = |x: Tensor<4>| {
        let each = x.reshape([batch, n_kv_heads, 1, context * head_dim]).repeat_dim(2, layout.group_size());
        each.reshape([batch, n_heads, context, head_dim])
    };
    let query = rotate(heads(0, n_heads));
    let key = shared(rotate(heads(layout.query_width(), n_kv_heads)));
    let value = shared(heads(layout.query_width() + layout.key_width(), n_kv_heads));

    let scores = query.matmul(key.transpose()).mul_scalar(layout.score_scale()); // [batch, heads, context, context]
    let future = Tensor::<2, burn::tensor::Bool>::tril_mask([context, context], 0, &device);
    let scores = scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY);
    let mixed = softmax(scores, 3).matmul(value); // over keys: [batch, heads, context, head_dim]
    mixed.swap_dims(1, 2).reshape([tokens, layout.query_width()])
}

/// See [`super::linear_residual`].
#[must_use]
pub fn linear_residual(stream: Tensor<2>, input: Tensor<2>, weight: Tensor<2>, scale: f32) -> Tensor<2> {
    stream + input.matmul(weight).mul_scalar(scale)
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
    let [tokens, _] = hidden.dims();
    let logits = hidden.matmul(weight.transpose()).mul_scalar(logit_scale); // [tokens, vocab]
    let highest = logits.clone().detach().max_dim(1); // over the vocabulary
    let log_sum = (logits.clone() - highest.clone()).exp().sum_dim(1).log() + highest;
    let of_target = logits.gather(1, targets.reshape([tokens, 1])); // over the vocabulary
    (log_sum - of_target).mean()
}
