//! A linear layer's three products, and the layer that ends a block: its output is added to the residual stream.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use vocabulary::Precision;

use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::matmul::{Matrix, MatrixMut, Output, Threads, multiply_in};

/// `input [tokens, from]` times `weight [from, to]`.
pub(super) fn product(input: &[f32], weight: &FlexTensor, precision: Precision) -> Vec<f32> {
    let [from, to] = dims(weight);
    let tokens = input.len() / from;
    let mut output = unwritten(tokens * to);
    multiply_in(
        precision,
        [tokens, to, from],
        MatrixMut::rows(&mut output, to),
        Output::Overwrite,
        Matrix::rows(input, from),
        Matrix::rows(elements(weight), to),
        1.0,
        Threads::All,
    );
    output
}

/// `stream + scale * (input * weight)`.
pub(super) fn added(
    stream: &FlexTensor,
    input: &[f32],
    weight: &FlexTensor,
    scale: f32,
    precision: Precision,
) -> FlexTensor {
    let ([tokens, to], [from, _]) = (dims(stream), dims(weight));
    let mut output = elements(stream).to_vec();
    multiply_in(
        precision,
        [tokens, to, from],
        MatrixMut::rows(&mut output, to),
        Output::Accumulate,
        Matrix::rows(input, from),
        Matrix::rows(elements(weight), to),
        scale,
        Threads::All,
    );
    tensor([tokens, to], output)
}

/// `scale * (gradient * weight^T)`, `[tokens, from]`.
pub(super) fn d_input(gradient: &FlexTensor, weight: &FlexTensor, scale: f32, precision: Precision) -> Vec<f32> {
    let ([tokens, to], [from, _]) = (dims(gradient), dims(weight));
    let mut output = unwritten(tokens * from);
    multiply_in(
        precision,
        [tokens, from, to],
        MatrixMut::rows(&mut output, from),
        Output::Overwrite,
        Matrix::rows(elements(gradient), to),
        Matrix::columns(elements(weight), to),
        scale,
        Threads::All,
    );
    output
}

/// `scale * (input^T * gradient)`, `[from, to]`.
pub(super) fn d_weight(
    input: &[f32],
    gradient: &[f32],
    [from, to]: [usize; 2],
    scale: f32,
    precision: Precision,
) -> FlexTensor {
    let tokens = input.len() / from;
    let mut output = unwritten(from * to);
    multiply_in(
        precision,
        [from, to, tokens],
        MatrixMut::rows(&mut output, to),
        Output::Overwrite,
        Matrix::columns(input, from),
        Matrix::rows(gradient, to),
        scale,
        Threads::All,
    );
    tensor([from, to], output)
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) input: FlexTensor,
    pub(super) weight: FlexTensor,
    pub(super) scale: f32,
    pub(super) precision: Precision,
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 3> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_stream, for_input, for_weight], Saved { input, weight, scale, precision }) = (ops.parents, ops.state);
        if let Some(node) = for_input {
            grads.register::<Flex>(node.id, tensor(dims::<2>(&input), d_input(&gradient, &weight, scale, precision)));
        }
        if let Some(node) = for_weight {
            let d_weight = d_weight(elements(&input), elements(&gradient), dims(&weight), scale, precision);
            grads.register::<Flex>(node.id, d_weight);
        }
        if let Some(node) = for_stream {
            grads.register::<Flex>(node.id, gradient);
        }
    }
}
