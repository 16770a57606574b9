//! RMSNorm and the linear layer it feeds.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use vocabulary::Precision;

use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::linear;
use super::rms_norm;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) norm: rms_norm::Saved,
    pub(super) weight: FlexTensor,
    pub(super) precision: Precision,
}

/// The output `[tokens, to]`, and the inverse root mean square of each token.
pub(super) fn forward(
    input: &FlexTensor,
    gain: &FlexTensor,
    weight: &FlexTensor,
    eps: f32,
    precision: Precision,
) -> (FlexTensor, Arc<[f32]>) {
    let ([tokens, _], [_, to]) = (dims(input), dims(weight));
    let (normalised, inverse_rms) = rms_norm::normalised(input, gain, eps);
    (tensor([tokens, to], linear::product(&normalised, weight, precision)), inverse_rms)
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 3> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_input, for_gain, for_weight], Saved { norm, weight, precision }) = (ops.parents, ops.state);
        let [tokens, from] = dims(&norm.input);
        let mut d_input = linear::d_input(&gradient, &weight, 1.0, precision);
        let mut normalised = unwritten(tokens * from);
        let d_gain = rms_norm::gradients(&norm, &mut d_input, Some(&mut normalised));
        if let Some(node) = for_weight {
            let d_weight = linear::d_weight(&normalised, elements(&gradient), dims(&weight), 1.0, precision);
            grads.register::<Flex>(node.id, d_weight);
        }
        if let Some(node) = for_input {
            grads.register::<Flex>(node.id, tensor([tokens, from], d_input));
        }
        if let Some(node) = for_gain {
            grads.register::<Flex>(node.id, tensor([from], d_gain));
        }
    }
}
