//! RMSNorm.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::simd::dot;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) input: FlexTensor,
    pub(super) gain: FlexTensor,
    /// 1 / sqrt(mean(x^2) + eps) of each token.
    pub(super) inverse_rms: Arc<[f32]>,
}

/// The output, and the inverse root mean square of each token.
pub(super) fn forward(input: &FlexTensor, gain: &FlexTensor, eps: f32) -> (FlexTensor, Arc<[f32]>) {
    let [tokens, width] = dims(input);
    let (mut output, mut inverse_rms) = (unwritten(tokens * width), unwritten(tokens));
    let task = ROWS_PER_TASK * width;
    let outputs = output.par_chunks_mut(task).zip(inverse_rms.par_chunks_mut(ROWS_PER_TASK));
    outputs.zip(elements(input).par_chunks(task)).for_each(|((output, inverse_rms), input)| {
        normalise(input, elements(gain), eps, output, inverse_rms);
    });
    (tensor([tokens, width], output), inverse_rms.into())
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn normalise(input: &[f32], gain: &[f32], eps: f32, output: &mut [f32], inverse_rms: &mut [f32]) {
    let width = gain.len();
    let rows = input.chunks_exact(width).zip(output.chunks_exact_mut(width)).zip(inverse_rms);
    for ((input, output), inverse_rms) in rows {
        let scale = 1.0 / (dot(input, input) / width as f32 + eps).sqrt();
        *inverse_rms = scale;
        for ((output, input), gain) in output.iter_mut().zip(input).zip(gain) {
            *output = input * scale * gain;
        }
    }
}

/// With r the inverse root mean square: `d_input = r (g - x r^2 mean(g x))` where `g = gradient * gain`, and
/// `d_gain += gradient x r`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn differentiate(
    (input, gain, inverse_rms): (&[f32], &[f32], &[f32]),
    gradient: &[f32],
    d_input: &mut [f32],
    d_gain: &mut [f32],
) {
    let width = gain.len();
    let inputs = input.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(inverse_rms);
    for (((x, g), &r), d_x) in inputs.zip(d_input.chunks_exact_mut(width)) {
        for channel in 0..width {
            d_x[channel] = g[channel] * gain[channel];
            d_gain[channel] += g[channel] * x[channel] * r;
        }
        let mean = dot(d_x, x) * r * r / width as f32;
        for channel in 0..width {
            d_x[channel] = r * (d_x[channel] - x[channel] * mean);
        }
    }
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 2> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_input, for_gain], Saved { input, gain, inverse_rms }) = (ops.parents, ops.state);
        let [tokens, width] = dims(&input);
        let task = ROWS_PER_TASK * width;
        let mut d_input = unwritten(tokens * width);
        let inputs = elements(&input).par_chunks(task).zip(inverse_rms.par_chunks(ROWS_PER_TASK));
        let pieces = d_input.par_chunks_mut(task).zip(elements(&gradient).par_chunks(task)).zip(inputs);
        let partial_gains: Vec<Vec<f32>> = pieces
            .map(|((d_input, gradient), (input, inverse_rms))| {
                let mut d_gain = vec![0.0; width];
                differentiate((input, elements(&gain), inverse_rms), gradient, d_input, &mut d_gain);
                d_gain
            })
            .collect();
        if let Some(node) = for_input {
            grads.register::<Flex>(node.id, tensor([tokens, width], d_input));
        }
        if let Some(node) = for_gain {
            let mut d_gain = vec![0.0; width];
            for partial in partial_gains {
                d_gain.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
            }
            grads.register::<Flex>(node.id, tensor([width], d_gain));
        }
    }
}
