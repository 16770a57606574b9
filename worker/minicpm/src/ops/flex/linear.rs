//! The linear layer, on outputs that are not zeroed first.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;

use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::matmul::{Matrix, MatrixMut, Output, Threads, multiply};

/// `input [tokens, from]` times `weight [from, to]`.
pub(super) fn forward(input: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let ([tokens, from], [_, to]) = (dims(input), dims(weight));
    let mut output = unwritten(tokens * to);
    multiply(
        [tokens, to, from],
        MatrixMut::rows(&mut output, to),
        Output::Overwrite,
        Matrix::rows(elements(input), from),
        Matrix::rows(elements(weight), to),
        1.0,
        Threads::All,
    );
    tensor([tokens, to], output)
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 2> for Gradient {
    /// Input and weight.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_input, for_weight], (input, weight)) = (ops.parents, ops.state);
        let ([tokens, from], [_, to]) = (dims(&input), dims(&weight));
        let gradient = elements(&gradient);
        if let Some(node) = for_input {
            let mut output = unwritten(tokens * from);
            multiply(
                [tokens, from, to],
                MatrixMut::rows(&mut output, from),
                Output::Overwrite,
                Matrix::rows(gradient, to),
                Matrix::columns(elements(&weight), to),
                1.0,
                Threads::All,
            );
            grads.register::<Flex>(node.id, tensor([tokens, from], output));
        }
        if let Some(node) = for_weight {
            let mut output = unwritten(from * to);
            multiply(
                [from, to, tokens],
                MatrixMut::rows(&mut output, to),
                Output::Overwrite,
                Matrix::columns(elements(&input), from),
                Matrix::rows(gradient, to),
                1.0,
                Threads::All,
            );
            grads.register::<Flex>(node.id, tensor([from, to], output));
        }
    }
}
