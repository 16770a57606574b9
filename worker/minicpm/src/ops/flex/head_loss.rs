//! The head and its loss, in chunks of tokens: no `[tokens, vocab]` matrix is kept.
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

/// Gradients with respect to the hidden state and the weight, for a gradient of one on the objective.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    d_hidden: FlexTensor,
    d_weight: FlexTensor,
}

/// What the logits are made of, and what of them is added up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) hidden: &'a FlexTensor,
    pub(super) weight: &'a FlexTensor,
    pub(super) targets: &'a [usize],
    pub(super) logit_scale: f32,
    /// Of the z-loss; zero leaves it out.
    pub(super) z_weight: f32,
    pub(super) precision: Precision,
}

/// The mean cross-entropy `[1]`; where the z-loss has a weight, the objective and the mean cross-entropy `[2]`.
pub(super) fn loss(head: Head<'_>) -> FlexTensor {
    means(&walk(head, |_, _| {}), head.z_weight)
}

/// What [`loss`] returns without a z-loss, and the cross-entropy of each token `[tokens]`.
pub(super) fn token_losses(head: Head<'_>) -> [FlexTensor; 2] {
    let losses = walk(head, |_, _| {});
    let each: Vec<f32> = losses.iter().map(|loss| loss.cross_entropy).collect();
    [means(&losses, 0.0), tensor([each.len()], each)]
}

/// What [`loss`] returns, and the gradients of its first element.
pub(super) fn loss_and_gradients(head: Head<'_>) -> (FlexTensor, Saved) {
    let Head { hidden, weight, logit_scale, precision, .. } = head;
    let ([tokens, width], [vocab, _]) = (dims(hidden), dims(weight));
    let (mut d_hidden, mut d_weight) = (unwritten(tokens * width), unwritten(vocab * width));
    let losses = walk(head, |from, d_logits| {
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
    (
        means(&losses, head.z_weight),
        Saved { d_hidden: tensor([tokens, width], d_hidden), d_weight: tensor([vocab, width], d_weight) },
    )
}

/// Computes the logits chunk by chunk, replaces them by their gradients, hands those to `visit` with the index of the
/// chunk's first token, and returns each token's losses.
fn walk(head: Head<'_>, mut visit: impl FnMut(usize, &[f32])) -> Vec<TokenLoss> {
    let Head { hidden, weight, targets, logit_scale, z_weight, precision } = head;
    let ([tokens, width], [vocab, _]) = (dims(hidden), dims(weight));
    assert_eq!(tokens, targets.len(), "one target a token");
    assert!(targets.iter().all(|&target| target < vocab), "targets lie in the vocabulary");
    let chunk = (LOGITS_PER_CHUNK / vocab).clamp(TOKENS_PER_TASK, TOKENS_PER_CHUNK);
    let mut logits = unwritten(tokens.min(chunk) * vocab);
    let mut losses = vec![TokenLoss::default(); tokens];
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
            differentiate(logits, targets, 1.0 / tokens as f32, z_weight, losses);
        });
        visit(from, logits);
    }
    losses
}

/// What [`loss`] returns, from the tokens' losses.
fn means(losses: &[TokenLoss], z_weight: f32) -> FlexTensor {
    // Summed in double precision and in order: the loss is what everything downstream is fitted to.
    let mean = |of: fn(&TokenLoss) -> f64| losses.iter().map(of).sum::<f64>() / losses.len() as f64;
    let cross_entropy = mean(|loss| f64::from(loss.cross_entropy));
    if z_weight == 0.0 {
        return tensor([1], vec![cross_entropy as f32]);
    }
    let objective = cross_entropy + f64::from(z_weight) * mean(|loss| f64::from(loss.log_sum).powi(2));
    tensor([2], vec![objective as f32, cross_entropy as f32])
}

/// What a token adds to the means.
#[derive(Clone, Copy, Debug, Default)]
struct TokenLoss {
    cross_entropy: f32,
    /// The logarithm of the sum of the exponentials of its logits: its square is the z-loss.
    log_sum: f32,
}

kernel! {
    /// Replaces logits by `share * (softmax - one-hot + z_weight * 2 log_sum * softmax)` and writes each token's loss.
    fn differentiate(
        logits: &mut [f32],
        targets: &[usize],
        share: f32,
        z_weight: f32,
        losses: &mut [TokenLoss],
    ) = differentiate_with;
}

#[inline(always)]
fn differentiate_with<S: Simd>(
    simd: S,
    logits: &mut [f32],
    targets: &[usize],
    share: f32,
    z_weight: f32,
    losses: &mut [TokenLoss],
) {
    let vocab = logits.len() / targets.len();
    for (token, (&target, loss)) in targets.iter().zip(losses).enumerate() {
        let row = &mut logits[token * vocab..][..vocab];
        let of_target = row[target];
        let highest = simd.max_of(row);
        let sum = simd.exp_and_sum(row, highest);
        let log_sum = highest + sum.ln();
        *loss = TokenLoss { cross_entropy: log_sum - of_target, log_sum };
        let of_softmax = if z_weight == 0.0 { share } else { share * (1.0 + z_weight * 2.0 * log_sum) };
        simd.scale(row, of_softmax / sum);
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
