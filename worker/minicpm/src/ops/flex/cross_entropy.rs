//! The head and the cross-entropy, in chunks of tokens: no `[tokens, vocab]` matrix is kept.
//!
//! The gradients of a loss that is the end of the graph differ from what the forward pass computes anyway by one factor
//! (the gradient of the loss, which is one in training). So they are computed there, while a chunk's logits are at hand,
//! rather than recomputing the logits in the backward pass.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;
use vocabulary::Precision;

use super::buffer::{contiguous, dims, elements, elements_mut, tensor, unwritten};
use super::matmul::{Matrix, MatrixMut, Output, Threads, multiply_in};
use crate::simd::{Simd, kernel};

/// Logits held at once, unless fewer than [`TOKENS_PER_TASK`] tokens have them: 8 MiB.
const LOGITS_PER_CHUNK: usize = 1 << 21;
/// Tokens whose logits are held at once, at most.
const TOKENS_PER_CHUNK: usize = 512;
/// Tokens that one task works on.
const TOKENS_PER_TASK: usize = 16;

/// Gradients with respect to the hidden state and the weight, for a gradient of one on the loss.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    d_hidden: FlexTensor,
    d_weight: FlexTensor,
}

/// The mean loss `[1]`.
pub(super) fn loss(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &[usize],
    logit_scale: f32,
    precision: Precision,
) -> FlexTensor {
    walk(hidden, weight, targets, logit_scale, precision, |_, _| {})
}

/// The mean loss `[1]`, and its gradients.
pub(super) fn loss_and_gradients(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &[usize],
    logit_scale: f32,
    precision: Precision,
) -> (FlexTensor, Saved) {
    let ([tokens, width], [vocab, _]) = (dims(hidden), dims(weight));
    let (mut d_hidden, mut d_weight) = (unwritten(tokens * width), unwritten(vocab * width));
    let loss = walk(hidden, weight, targets, logit_scale, precision, |from, d_logits| {
        let rows = d_logits.len() / vocab;
        let to = from + rows;
        multiply_in(
            precision,
            [rows, width, vocab],
            MatrixMut::rows(&mut d_hidden[from * width..to * width], width),
            Output::Overwrite,
            Matrix::rows(d_logits, vocab),
            Matrix::rows(elements(weight), width),
            logit_scale,
            Threads::All,
        );
        multiply_in(
            precision,
            [vocab, width, rows],
            MatrixMut::rows(&mut d_weight, width),
            if from == 0 { Output::Overwrite } else { Output::Accumulate },
            Matrix::columns(d_logits, vocab),
            Matrix::rows(&elements(hidden)[from * width..to * width], width),
            logit_scale,
            Threads::All,
        );
    });
    (loss, Saved { d_hidden: tensor([tokens, width], d_hidden), d_weight: tensor([vocab, width], d_weight) })
}

/// Computes the logits chunk by chunk, replaces them by their gradients, hands those to `visit` with the index of the
/// chunk's first token, and returns the mean loss.
fn walk(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &[usize],
    logit_scale: f32,
    precision: Precision,
    mut visit: impl FnMut(usize, &[f32]),
) -> FlexTensor {
    let ([tokens, width], [vocab, _]) = (dims(hidden), dims(weight));
    assert_eq!(tokens, targets.len(), "one target a token");
    assert!(targets.iter().all(|&target| target < vocab), "targets lie in the vocabulary");
    let chunk = (LOGITS_PER_CHUNK / vocab).clamp(TOKENS_PER_TASK, TOKENS_PER_CHUNK);
    let mut logits = unwritten(tokens.min(chunk) * vocab);
    let mut losses = vec![0.0; tokens];
    for from in (0..tokens).step_by(chunk) {
        let to = tokens.min(from + chunk);
        let logits = &mut logits[..(to - from) * vocab];
        multiply_in(
            precision,
            [to - from, vocab, width],
            MatrixMut::rows(logits, vocab),
            Output::Overwrite,
            Matrix::rows(&elements(hidden)[from * width..to * width], width),
            Matrix::columns(elements(weight), width),
            logit_scale,
            Threads::All,
        );
        let tasks =
            logits.par_chunks_mut(TOKENS_PER_TASK * vocab).zip(losses[from..to].par_chunks_mut(TOKENS_PER_TASK));
        tasks.zip(targets[from..to].par_chunks(TOKENS_PER_TASK)).for_each(|((logits, losses), targets)| {
            differentiate(logits, targets, 1.0 / tokens as f32, losses);
        });
        visit(from, logits);
    }
    // Summed in double precision and in order: the loss is what everything downstream is fitted to.
    let mean = losses.iter().map(|&loss: &f32| f64::from(loss)).sum::<f64>() / tokens as f64;
    tensor([1], vec![mean as f32])
}

kernel! {
    /// Replaces logits by `share * (softmax - one-hot)` and writes each token's loss.
    fn differentiate(logits: &mut [f32], targets: &[usize], share: f32, losses: &mut [f32]) = differentiate_with;
}

#[inline(always)]
fn differentiate_with<S: Simd>(simd: S, logits: &mut [f32], targets: &[usize], share: f32, losses: &mut [f32]) {
    let vocab = logits.len() / targets.len();
    for (token, (&target, loss)) in targets.iter().zip(losses).enumerate() {
        let row = &mut logits[token * vocab..][..vocab];
        let of_target = row[target];
        let highest = simd.max_of(row);
        let sum = simd.exp_and_sum(row, highest);
        *loss = highest + sum.ln() - of_target;
        simd.scale(row, share / sum);
        row[target] -= share;
    }
}

kernel! {
    fn scale(values: &mut [f32], by: f32) = Simd::scale;
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 2> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = elements(&contiguous(&grads.consume::<Flex>(&ops.node)))[0];
        let ([for_hidden, for_weight], Saved { d_hidden, d_weight }) = (ops.parents, ops.state);
        let scaled = |mut tensor: FlexTensor| {
            if gradient != 1.0 {
                elements_mut(&mut tensor).par_chunks_mut(1 << 14).for_each(|values| scale(values, gradient));
            }
            tensor
        };
        if let Some(node) = for_hidden {
            grads.register::<Flex>(node.id, scaled(d_hidden));
        }
        if let Some(node) = for_weight {
            grads.register::<Flex>(node.id, scaled(d_weight));
        }
    }
}
