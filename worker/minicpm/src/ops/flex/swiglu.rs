//! SwiGLU on packed gate and up.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::simd::sigmoid;

/// `silu(gate) * up` of `gate_up [tokens, 2 * d_ff]`.
pub(super) fn forward(gate_up: &FlexTensor) -> FlexTensor {
    let [tokens, both] = dims(gate_up);
    let d_ff = both / 2;
    let mut output = unwritten(tokens * d_ff);
    let inputs = elements(gate_up).par_chunks(ROWS_PER_TASK * both);
    output.par_chunks_mut(ROWS_PER_TASK * d_ff).zip(inputs).for_each(|(output, gate_up)| gate(gate_up, d_ff, output));
    tensor([tokens, d_ff], output)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn gate(gate_up: &[f32], d_ff: usize, output: &mut [f32]) {
    for (row, output) in gate_up.chunks_exact(2 * d_ff).zip(output.chunks_exact_mut(d_ff)) {
        let (gate, up) = row.split_at(d_ff);
        for channel in 0..d_ff {
            output[channel] = gate[channel] * sigmoid(gate[channel]) * up[channel];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn differentiate(gate_up: &[f32], gradient: &[f32], d_ff: usize, d_gate_up: &mut [f32]) {
    let outputs = d_gate_up.chunks_exact_mut(2 * d_ff);
    for ((row, gradient), output) in gate_up.chunks_exact(2 * d_ff).zip(gradient.chunks_exact(d_ff)).zip(outputs) {
        let ((gate, up), (d_gate, d_up)) = (row.split_at(d_ff), output.split_at_mut(d_ff));
        for channel in 0..d_ff {
            let share = sigmoid(gate[channel]);
            let silu = gate[channel] * share;
            d_up[channel] = gradient[channel] * silu;
            d_gate[channel] = gradient[channel] * up[channel] * (share + silu * (1.0 - share));
        }
    }
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 1> for Gradient {
    /// Gate and up.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_input], gate_up) = (ops.parents, ops.state);
        let Some(node) = for_input else { return };
        let [tokens, both] = dims(&gate_up);
        let d_ff = both / 2;
        let mut output = unwritten(tokens * both);
        let inputs = elements(&gate_up)
            .par_chunks(ROWS_PER_TASK * both)
            .zip(elements(&gradient).par_chunks(ROWS_PER_TASK * d_ff));
        output.par_chunks_mut(ROWS_PER_TASK * both).zip(inputs).for_each(|(output, (gate_up, gradient))| {
            differentiate(gate_up, gradient, d_ff, output);
        });
        grads.register::<Flex>(node.id, tensor([tokens, both], output));
    }
}
