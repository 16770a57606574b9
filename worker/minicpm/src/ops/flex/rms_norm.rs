//! RMSNorm.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::buffer::{contiguous, dims, elements, elements_mut, tensor, unwritten};
use crate::simd::{Simd, for_chunks, kernel};

/// What the backward pass needs. The normalised rows are not kept: from these they cost one pass over memory.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) input: FlexTensor,
    pub(super) gain: FlexTensor,
    /// 1 / sqrt(mean(x^2) + eps) of each token.
    pub(super) inverse_rms: Arc<[f32]>,
}

/// Normalised rows, and the inverse root mean square of each.
pub(super) fn normalised(input: &FlexTensor, gain: &FlexTensor, eps: f32) -> (Vec<f32>, Arc<[f32]>) {
    let [tokens, width] = dims(input);
    let (mut output, mut inverse_rms) = (unwritten(tokens * width), unwritten(tokens));
    let task = ROWS_PER_TASK * width;
    let outputs = output.par_chunks_mut(task).zip(inverse_rms.par_chunks_mut(ROWS_PER_TASK));
    outputs.zip(elements(input).par_chunks(task)).for_each(|((output, inverse_rms), input)| {
        normalise(input, elements(gain), eps, output, inverse_rms);
    });
    (output, inverse_rms.into())
}

/// The gradients of input and gain, from that of the normalised rows: into `gradient` and as the result. Where
/// `normalised` is given, it is filled with what [`normalised`] made of the input.
pub(super) fn gradients(saved: &Saved, gradient: &mut [f32], normalised: Option<&mut [f32]>) -> Vec<f32> {
    let [_, width] = dims(&saved.input);
    let task = ROWS_PER_TASK * width;
    let inputs = elements(&saved.input).par_chunks(task).zip(saved.inverse_rms.par_chunks(ROWS_PER_TASK));
    let pieces = gradient.par_chunks_mut(task).zip(inputs);
    let gain = elements(&saved.gain);
    let part = |gradient: &mut [f32], (input, inverse_rms): (&[f32], &[f32]), normalised: &mut [f32]| {
        let mut d_gain = vec![0.0; width];
        differentiate((input, gain, inverse_rms), gradient, &mut d_gain, normalised);
        d_gain
    };
    let parts: Vec<Vec<f32>> = match normalised {
        Some(normalised) => pieces
            .zip(normalised.par_chunks_mut(task))
            .map(|((gradient, inputs), normalised)| part(gradient, inputs, normalised))
            .collect(),
        None => pieces.map(|(gradient, inputs)| part(gradient, inputs, &mut [])).collect(),
    };
    let mut d_gain = vec![0.0; width];
    for part in parts {
        d_gain.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    d_gain
}

kernel! {
    /// Normalises rows, and says by how much.
    fn normalise(input: &[f32], gain: &[f32], eps: f32, output: &mut [f32], inverse_rms: &mut [f32]) = normalise_with;
}

#[inline(always)]
fn normalise_with<S: Simd>(
    simd: S,
    input: &[f32],
    gain: &[f32],
    eps: f32,
    output: &mut [f32],
    inverse_rms: &mut [f32],
) {
    let width = gain.len();
    for (row, inverse_rms) in inverse_rms.iter_mut().enumerate() {
        let (x, y) = (&input[row * width..][..width], &mut output[row * width..][..width]);
        *inverse_rms = 1.0 / (simd.dot(x, x) / width as f32 + eps).sqrt();
        let scale = simd.splat(*inverse_rms);
        for_chunks!(width, chunk => {
            let scaled = simd.mul(chunk.load(simd, x), scale);
            chunk.store(simd, y, simd.mul(scaled, chunk.load(simd, gain)));
        });
    }
}

kernel! {
    /// With r the inverse root mean square: `d_input = r (g - x r^2 mean(g x))` where `g = gradient * gain`, in place of
    /// the gradient, and `d_gain += gradient x r`. Writes `x r gain` where `normalised` is not empty.
    fn differentiate(
        saved: (&[f32], &[f32], &[f32]),
        gradient: &mut [f32],
        d_gain: &mut [f32],
        normalised: &mut [f32],
    ) = differentiate_with;
}

#[inline(always)]
fn differentiate_with<S: Simd>(
    simd: S,
    (input, gain, inverse_rms): (&[f32], &[f32], &[f32]),
    gradient: &mut [f32],
    d_gain: &mut [f32],
    normalised: &mut [f32],
) {
    let width = gain.len();
    for (row, &r) in inverse_rms.iter().enumerate() {
        let (x, g) = (&input[row * width..][..width], &mut gradient[row * width..][..width]);
        let scale = simd.splat(r);
        for_chunks!(width, chunk => {
            let (gradient, scaled) = (chunk.load(simd, g), simd.mul(chunk.load(simd, x), scale));
            chunk.store(simd, d_gain, simd.mul_add(gradient, scaled, chunk.load(simd, d_gain)));
            chunk.store(simd, g, simd.mul(gradient, chunk.load(simd, gain)));
        });
        let mean = simd.splat(simd.dot(g, x) * r * r / width as f32);
        for_chunks!(width, chunk => {
            let shared = simd.mul(chunk.load(simd, x), mean);
            let gradient = simd.mul(scale, simd.sub(chunk.load(simd, g), shared));
            chunk.store(simd, g, gradient);
        });
        if !normalised.is_empty() {
            let y = &mut normalised[row * width..][..width];
            for_chunks!(width, chunk => {
                let scaled = simd.mul(chunk.load(simd, x), scale);
                chunk.store(simd, y, simd.mul(scaled, chunk.load(simd, gain)));
            });
        }
    }
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 2> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_input, for_gain], saved) = (ops.parents, ops.state);
        let d_gain = gradients(&saved, elements_mut(&mut gradient), None);
        if let Some(node) = for_input {
            grads.register::<Flex>(node.id, gradient);
        }
        if let Some(node) = for_gain {
            grads.register::<Flex>(node.id, tensor([d_gain.len()], d_gain));
        }
    }
}
