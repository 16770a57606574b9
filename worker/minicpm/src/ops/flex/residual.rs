//! The scaled residual connection.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::buffer::{contiguous, dims, elements, tensor, unwritten};

/// `stream + branch * scale`.
pub(super) fn forward(stream: &FlexTensor, branch: &FlexTensor, scale: f32) -> FlexTensor {
    let [tokens, width] = dims(stream);
    let mut output = unwritten(tokens * width);
    let task = ROWS_PER_TASK * width;
    let inputs = elements(stream).par_chunks(task).zip(elements(branch).par_chunks(task));
    output.par_chunks_mut(task).zip(inputs).for_each(|(output, (stream, branch))| add(stream, branch, scale, output));
    tensor([tokens, width], output)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn add(stream: &[f32], branch: &[f32], scale: f32, output: &mut [f32]) {
    for ((output, stream), branch) in output.iter_mut().zip(stream).zip(branch) {
        *output = stream + branch * scale;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn multiply(values: &[f32], scale: f32, output: &mut [f32]) {
    for (output, value) in output.iter_mut().zip(values) {
        *output = value * scale;
    }
}

/// `values * scale`.
pub(super) fn scaled<const D: usize>(values: &FlexTensor, scale: f32) -> FlexTensor {
    let values_in = elements(values);
    let mut output = unwritten(values_in.len());
    let task = 1 << 14;
    let pieces = output.par_chunks_mut(task).zip(values_in.par_chunks(task));
    pieces.for_each(|(output, values)| multiply(values, scale, output));
    tensor(dims::<D>(values), output)
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 2> for Gradient {
    /// The scale.
    type State = f32;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let [for_stream, for_branch] = ops.parents;
        if let Some(node) = for_branch {
            grads.register::<Flex>(node.id, scaled::<2>(&gradient, ops.state));
        }
        if let Some(node) = for_stream {
            grads.register::<Flex>(node.id, gradient);
        }
    }
}
