//! Fused kernels for the CPU backend, each with its own backward pass.
//!
//! One file an operation: arithmetic on slices first, then its registration with automatic differentiation. What they
//! share: [`crate::simd`] (vector arithmetic, for CPUs with AVX-512 and others, chosen at run time), [`buffer`]
//! (getting at the memory of a tensor), [`matmul`] (matrix products on slices).
//!
//! Results do not depend on the number of threads: work is cut into pieces of fixed size, and sums over pieces are
//! taken in the order of the pieces. Nor on the instruction set, as far as this module goes: multiply-add is fused where
//! it is written so and nowhere else, and partial sums have a fixed width. The exception are the matrix products, whose
//! order of summation differs between CPUs with AVX-512 and without.

mod attention;
mod buffer;
mod embedding;
mod head_loss;
mod linear;
mod matmul;
mod norm_linear;
mod rms_norm;
mod swiglu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;
use vocabulary::Precision;

use self::buffer::contiguous;
use super::{AttentionLayout, HeadLoss, TokenLosses};
use crate::rope::RopeTable;

/// Rows that one task works on: enough to be worth handing to a thread, few enough to stay in its cache.
const ROWS_PER_TASK: usize = 64;

/// The operations a backend must bring along; see the functions of the same names in [`super`].
#[backend_extension(Flex, Autodiff)]
trait FusedOps: Backend {
    fn wt_embedding(table: FloatTensor<Self>, tokens: IntTensor<Self>, scale: f32) -> FloatTensor<Self>;
    fn wt_rms_norm(input: FloatTensor<Self>, gain: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
    fn wt_norm_linear(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn wt_attention(
        qkv: FloatTensor<Self>,
        layout: AttentionLayout,
        context: usize,
        rope: RopeTable,
    ) -> FloatTensor<Self>;
    fn wt_linear_residual(
        stream: FloatTensor<Self>,
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn wt_swiglu_residual(
        stream: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn wt_head_loss(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logit_scale: f32,
        z_weight: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn wt_embedding(table: FlexTensor, tokens: FlexTensor, scale: f32) -> FlexTensor {
        embedding::forward(&contiguous(&table), &buffer::indices(&tokens), scale)
    }

    fn wt_rms_norm(input: FlexTensor, gain: FlexTensor, eps: f32) -> FlexTensor {
        let (normalised, _) = rms_norm::normalised(&contiguous(&input), &contiguous(&gain), eps);
        buffer::tensor(buffer::dims::<2>(&input), normalised)
    }

    fn wt_norm_linear(
        input: FlexTensor,
        gain: FlexTensor,
        weight: FlexTensor,
        eps: f32,
        precision: Precision,
    ) -> FlexTensor {
        norm_linear::forward(&contiguous(&input), &contiguous(&gain), &contiguous(&weight), eps, precision).0
    }

    fn wt_attention(qkv: FlexTensor, layout: AttentionLayout, context: usize, rope: RopeTable) -> FlexTensor {
        attention::forward(&contiguous(&qkv), &attention::Geometry { layout, context, rope }).0
    }

    fn wt_linear_residual(
        stream: FlexTensor,
        input: FlexTensor,
        weight: FlexTensor,
        scale: f32,
        precision: Precision,
    ) -> FlexTensor {
        let input = contiguous(&input);
        linear::added(&contiguous(&stream), buffer::elements(&input), &contiguous(&weight), scale, precision)
    }

    fn wt_swiglu_residual(
        stream: FlexTensor,
        gate_up: FlexTensor,
        weight: FlexTensor,
        scale: f32,
        precision: Precision,
    ) -> FlexTensor {
        swiglu::forward(&contiguous(&stream), &contiguous(&gate_up), &contiguous(&weight), scale, precision)
    }

    fn wt_head_loss(
        hidden: FlexTensor,
        weight: FlexTensor,
        targets: FlexTensor,
        logit_scale: f32,
        z_weight: f32,
        precision: Precision,
    ) -> FlexTensor {
        let (hidden, weight, targets) = (&contiguous(&hidden), &contiguous(&weight), &buffer::indices(&targets));
        head_loss::loss(head_loss::Head { hidden, weight, targets, logit_scale, z_weight, precision })
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn wt_embedding(table: FloatTensor<Self>, tokens: IntTensor<Self>, scale: f32) -> FloatTensor<Self> {
        let (values, tokens) = (contiguous(table.primitive()), buffer::indices(&tokens));
        let output = embedding::forward(&values, &tokens, scale);
        let [vocab, _] = buffer::dims(&values);
        match embedding::Gradient.prepare::<C>([table.node()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(embedding::Saved { vocab, tokens, scale }, output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_rms_norm(input: FloatTensor<Self>, gain: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let (x, g) = (contiguous(input.primitive()), contiguous(gain.primitive()));
        let (normalised, inverse_rms) = rms_norm::normalised(&x, &g, eps);
        let output = buffer::tensor(buffer::dims::<2>(&x), normalised);
        match rms_norm::Gradient.prepare::<C>([input.node(), gain.node()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(rms_norm::Saved { input: x, gain: g, inverse_rms }, output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_norm_linear(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (x, g) = (contiguous(input.primitive()), contiguous(gain.primitive()));
        let w = contiguous(weight.primitive());
        let (output, inverse_rms) = norm_linear::forward(&x, &g, &w, eps, precision);
        let parents = [input.node(), gain.node(), weight.node()];
        match norm_linear::Gradient.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let norm = rms_norm::Saved { input: x, gain: g, inverse_rms };
                node.finish(norm_linear::Saved { norm, weight: w, precision }, output)
            }
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_attention(
        qkv: FloatTensor<Self>,
        layout: AttentionLayout,
        context: usize,
        rope: RopeTable,
    ) -> FloatTensor<Self> {
        let (x, geometry) = (contiguous(qkv.primitive()), attention::Geometry { layout, context, rope });
        let (output, log_sums) = attention::forward(&x, &geometry);
        match attention::Gradient.prepare::<C>([qkv.node()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let saved = attention::Saved { qkv: x, output: output.clone(), log_sums, geometry };
                node.finish(saved, output)
            }
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_linear_residual(
        stream: FloatTensor<Self>,
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (x, w) = (contiguous(input.primitive()), contiguous(weight.primitive()));
        let output = linear::added(&contiguous(stream.primitive()), buffer::elements(&x), &w, scale, precision);
        let parents = [stream.node(), input.node(), weight.node()];
        match linear::Gradient.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(linear::Saved { input: x, weight: w, scale, precision }, output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_swiglu_residual(
        stream: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (x, w) = (contiguous(gate_up.primitive()), contiguous(weight.primitive()));
        let output = swiglu::forward(&contiguous(stream.primitive()), &x, &w, scale, precision);
        let parents = [stream.node(), gate_up.node(), weight.node()];
        match swiglu::Gradient.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(swiglu::Saved { gate_up: x, weight: w, scale, precision }, output),
            OpsKind::UnTracked(node) => node.finish(output),
        }
    }

    fn wt_head_loss(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        logit_scale: f32,
        z_weight: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (x, w) = (contiguous(hidden.primitive()), contiguous(weight.primitive()));
        let targets = &buffer::indices(&targets);
        let head = head_loss::Head { hidden: &x, weight: &w, targets, logit_scale, z_weight, precision };
        match head_loss::Gradient.prepare::<C>([hidden.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (loss, gradients) = head_loss::loss_and_gradients(head);
                node.finish(gradients, loss)
            }
            OpsKind::UnTracked(node) => node.finish(head_loss::loss(head)),
        }
    }
}

/// Without differentiation.
pub(super) fn product(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    let [left, right] = [left, right].map(|factor| {
        let factor = factor.try_into_primitive::<Flex>().expect("the caller checked the device");
        contiguous(&factor)
    });
    let [m, _] = buffer::dims(&left);
    let [_, n] = buffer::dims(&right);
    let values = linear::product(buffer::elements(&left), &right, Precision::Fp32);
    Tensor::from_primitive::<Flex>(buffer::tensor([m, n], values))
}

/// Without differentiation.
pub(super) fn token_losses(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    precision: Precision,
) -> TokenLosses {
    let [hidden, weight] = [hidden, weight].map(|factor| {
        let factor = factor.try_into_primitive::<Flex>().expect("the caller checked the device");
        contiguous(&factor)
    });
    let targets = targets.try_into_primitive::<Flex>().expect("they are on the same device");
    let targets = &buffer::indices(&targets);
    let head = head_loss::Head { hidden: &hidden, weight: &weight, targets, logit_scale, z_weight: 0.0, precision };
    let [mean, each] = head_loss::token_losses(head).map(Tensor::from_primitive::<Flex>);
    TokenLosses { mean, each }
}

pub(super) fn embedding(table: Tensor<2>, tokens: Tensor<1, Int>, scale: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::wt_embedding(table.into_dispatch(), tokens.into_dispatch(), scale))
}

pub(super) fn rms_norm(input: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::wt_rms_norm(input.into_dispatch(), gain.into_dispatch(), eps))
}

pub(super) fn norm_linear(
    input: Tensor<2>,
    gain: Tensor<1>,
    weight: Tensor<2>,
    eps: f32,
    precision: Precision,
) -> Tensor<2> {
    let (input, gain, weight) = (input.into_dispatch(), gain.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::wt_norm_linear(input, gain, weight, eps, precision))
}

pub(super) fn causal_attention(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::wt_attention(qkv.into_dispatch(), layout, context, rope.clone()))
}

pub(super) fn linear_residual(
    stream: Tensor<2>,
    input: Tensor<2>,
    weight: Tensor<2>,
    scale: f32,
    precision: Precision,
) -> Tensor<2> {
    let (stream, input, weight) = (stream.into_dispatch(), input.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::wt_linear_residual(stream, input, weight, scale, precision))
}

pub(super) fn swiglu_residual(
    stream: Tensor<2>,
    gate_up: Tensor<2>,
    weight: Tensor<2>,
    scale: f32,
    precision: Precision,
) -> Tensor<2> {
    let (stream, gate_up, weight) = (stream.into_dispatch(), gate_up.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::wt_swiglu_residual(stream, gate_up, weight, scale, precision))
}

pub(super) fn head_loss(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    z_weight: f32,
    precision: Precision,
) -> HeadLoss {
    let losses = Tensor::<1>::from_dispatch(Dispatch::wt_head_loss(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        logit_scale,
        z_weight,
        precision,
    ));
    if z_weight == 0.0 {
        return HeadLoss::of(losses);
    }
    // Objective, then cross-entropy. The gradients are those of the first.
    HeadLoss { objective: losses.clone().narrow(0, 0, 1), cross_entropy: losses.detach().narrow(0, 1, 1) }
}
