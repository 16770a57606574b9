//! The embedding look-up.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;

use super::buffer::{contiguous, dims, elements, tensor};

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) vocab: usize,
    pub(super) tokens: Arc<[usize]>,
    pub(super) scale: f32,
}

/// Rows of `table [vocab, d_model]`, times `scale`.
pub(super) fn forward(table: &FlexTensor, tokens: &[usize], scale: f32) -> FlexTensor {
    let [_, width] = dims(table);
    let table = elements(table);
    let mut output = Vec::with_capacity(tokens.len() * width);
    for &token in tokens {
        output.extend(table[token * width..(token + 1) * width].iter().map(|value| value * scale));
    }
    tensor([tokens.len(), width], output)
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 1> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_table], Saved { vocab, tokens, scale }) = (ops.parents, ops.state);
        let Some(node) = for_table else { return };
        let [_, width] = dims(&gradient);
        // On one thread: two tokens may be the same row, and the order of the additions is part of the result.
        let mut output = vec![0.0; vocab * width];
        for (&token, gradient) in tokens.iter().zip(elements(&gradient).chunks_exact(width)) {
            let row = &mut output[token * width..(token + 1) * width];
            row.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient * scale);
        }
        grads.register::<Flex>(node.id, tensor([vocab, width], output));
    }
}
