//! SwiGLU on packed gate and up, and the linear layer after it, whose output is added to the residual stream.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;
use vocabulary::Precision;

use super::ROWS_PER_TASK;
use super::buffer::{contiguous, dims, elements, elements_mut, unwritten};
use super::linear;
use crate::simd::{Simd, for_chunks, kernel};

/// What the backward pass needs. `silu(gate) * up` is not kept: it is computed again on the way to its gradient.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) gate_up: FlexTensor,
    pub(super) weight: FlexTensor,
    pub(super) scale: f32,
    pub(super) precision: Precision,
}

/// `stream + scale * ((silu(gate) * up) * weight)`.
pub(super) fn forward(
    stream: &FlexTensor,
    gate_up: &FlexTensor,
    weight: &FlexTensor,
    scale: f32,
    precision: Precision,
) -> FlexTensor {
    let [tokens, both] = dims(gate_up);
    let d_ff = both / 2;
    let mut gated = unwritten(tokens * d_ff);
    let inputs = elements(gate_up).par_chunks(ROWS_PER_TASK * both);
    gated.par_chunks_mut(ROWS_PER_TASK * d_ff).zip(inputs).for_each(|(gated, gate_up)| gate(gate_up, d_ff, gated));
    linear::added(stream, &gated, weight, scale, precision)
}

kernel! {
    /// `silu(gate) * up`, row by row.
    fn gate(gate_up: &[f32], d_ff: usize, gated: &mut [f32]) = gate_with;
}

#[inline(always)]
fn gate_with<S: Simd>(simd: S, gate_up: &[f32], d_ff: usize, gated: &mut [f32]) {
    for row in 0..gated.len() / d_ff {
        let (gate, up) = gate_up[row * 2 * d_ff..][..2 * d_ff].split_at(d_ff);
        let gated = &mut gated[row * d_ff..][..d_ff];
        for_chunks!(d_ff, chunk => {
            let gate = chunk.load(simd, gate);
            let silu = simd.mul(gate, simd.sigmoid(gate));
            chunk.store(simd, gated, simd.mul(silu, chunk.load(simd, up)));
        });
    }
}

kernel! {
    /// Exchanges gate and up for their gradients, and the gradient of `silu(gate) * up` for that product itself.
    fn differentiate(gate_up: &mut [f32], d_ff: usize, gradient: &mut [f32]) = differentiate_with;
}

#[inline(always)]
fn differentiate_with<S: Simd>(simd: S, gate_up: &mut [f32], d_ff: usize, gradient: &mut [f32]) {
    let one = simd.splat(1.0);
    for row in 0..gradient.len() / d_ff {
        let (gate, up) = gate_up[row * 2 * d_ff..][..2 * d_ff].split_at_mut(d_ff);
        let gradient = &mut gradient[row * d_ff..][..d_ff];
        for_chunks!(d_ff, chunk => {
            let (x, y, g) = (chunk.load(simd, gate), chunk.load(simd, up), chunk.load(simd, gradient));
            let share = simd.sigmoid(x);
            let silu = simd.mul(x, share);
            // The derivative of silu: share + silu (1 - share).
            let slope = simd.mul_add(silu, simd.sub(one, share), share);
            chunk.store(simd, gate, simd.mul(simd.mul(g, y), slope));
            chunk.store(simd, up, simd.mul(g, silu));
            chunk.store(simd, gradient, simd.mul(silu, y));
        });
    }
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 3> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_stream, for_gate_up, for_weight], Saved { mut gate_up, weight, scale, precision }) =
            (ops.parents, ops.state);
        let [_, both] = dims(&gate_up);
        let d_ff = both / 2;
        let mut gated = linear::d_input(&gradient, &weight, scale, precision);
        let pairs = elements_mut(&mut gate_up).par_chunks_mut(ROWS_PER_TASK * both);
        gated.par_chunks_mut(ROWS_PER_TASK * d_ff).zip(pairs).for_each(|(gradient, gate_up)| {
            differentiate(gate_up, d_ff, gradient);
        });
        if let Some(node) = for_weight {
            let d_weight = linear::d_weight(&gated, elements(&gradient), dims(&weight), scale, precision);
            grads.register::<Flex>(node.id, d_weight);
        }
        if let Some(node) = for_gate_up {
            grads.register::<Flex>(node.id, gate_up);
        }
        if let Some(node) = for_stream {
            grads.register::<Flex>(node.id, gradient);
        }
    }
}
