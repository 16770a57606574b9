//! Attention and cross-entropy by the formulas of [`super::plain`], a piece at a time.
//!
//! As they stand, those two hold a matrix that grows with the square of the context, and one of every token's logits:
//! more than a device has. Here no more than [`QUERIES_AT_ONCE`] rows of the one and [`LOGITS_AT_ONCE`] elements of the
//! other exist at a time. The pieces depend on shapes alone, because where sums are cut decides their last bits.

use std::ops::Range;

use burn::tensor::{FloatDType, IndexingUpdateOp, Int, Tensor};
use vocabulary::memory::{LOGITS_AT_ONCE, QUERIES_AT_ONCE};

use super::plain::{self, Heads};
use super::{AttentionLayout, HeadLoss, TokenLosses, plain::linear};
use crate::rope::RopeTable;

/// See [`super::causal_attention`].
#[must_use]
pub fn causal_attention(qkv: Tensor<2>, layout: AttentionLayout, context: usize, rope: &RopeTable) -> Tensor<2> {
    causal_attention_by(QUERIES_AT_ONCE as usize, qkv, layout, context, rope)
}

/// Attention, this many queries at a time. Keys that none of them may see are left out, which halves the work.
///
/// # Shapes
/// - as [`super::causal_attention`].
#[must_use]
pub fn causal_attention_by(
    queries_at_once: usize,
    qkv: Tensor<2>,
    layout: AttentionLayout,
    context: usize,
    rope: &RopeTable,
) -> Tensor<2> {
    let [tokens, _] = qkv.dims();
    let heads = Heads::of(qkv, layout, context, rope);
    let mixed: Vec<_> = pieces(context, queries_at_once).map(|positions| heads.attend(positions)).collect();
    let mixed = Tensor::cat(mixed, 2); // positions: [batch, heads, context, head_dim]
    mixed.swap_dims(1, 2).reshape([tokens, layout.query_width()])
}

/// See [`super::head_loss`].
#[must_use]
pub fn head_loss(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    z_weight: f32,
) -> HeadLoss {
    let [vocab, _] = weight.dims();
    head_loss_by((LOGITS_AT_ONCE as usize / vocab).max(1), hidden, weight, targets, logit_scale, z_weight)
}

/// The loss at the head, the logits of this many tokens at a time.
///
/// The gradients are computed with the loss, while a piece's logits are there. What is returned is the linear function
/// that has them, moved so that its value is the loss: its own differentiation hands them on.
///
/// # Shapes
/// - as [`super::head_loss`].
#[must_use]
pub fn head_loss_by(
    tokens_at_once: usize,
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    logit_scale: f32,
    z_weight: f32,
) -> HeadLoss {
    let [tokens, _] = hidden.dims();
    if !hidden.is_autodiff() {
        return pieces(tokens, tokens_at_once)
            .map(|piece| {
                let share = piece.len() as f64 / tokens as f64;
                let (hidden, targets) = rows(&hidden, &targets, piece);
                let loss = plain::head_loss(hidden, weight.clone(), targets, logit_scale, z_weight);
                HeadLoss {
                    objective: loss.objective.mul_scalar(share),
                    cross_entropy: loss.cross_entropy.mul_scalar(share),
                }
            })
            .reduce(|sum, loss| HeadLoss {
                objective: sum.objective + loss.objective,
                cross_entropy: sum.cross_entropy + loss.cross_entropy,
            })
            .expect("there are tokens");
    }
    let (constant, matrix, targets) = (hidden.clone().inner(), weight.clone().inner(), targets.inner());
    let found = pieces(tokens, tokens_at_once)
        .map(|piece| {
            let (hidden, targets) = rows(&constant, &targets, piece);
            LossAndGradients::of(hidden, matrix.clone(), targets, logit_scale, z_weight, tokens)
        })
        .reduce(LossAndGradients::and)
        .expect("there are tokens");
    let for_hidden = hidden * Tensor::from_inner(Tensor::cat(found.for_hidden, 0)); // tokens
    let for_weight = weight * Tensor::from_inner(found.for_weight);
    // Its value goes away again, so these sums may come in any order.
    let line = for_hidden.cast(FloatDType::F32).sum() + for_weight.sum();
    let with_value = |value| line.clone() - line.clone().detach() + Tensor::from_inner(value);
    match found.z_loss {
        None => HeadLoss::of(with_value(found.cross_entropy)),
        Some(z_loss) => HeadLoss {
            objective: with_value(found.cross_entropy.clone() + z_loss.mul_scalar(z_weight)),
            cross_entropy: Tensor::from_inner(found.cross_entropy),
        },
    }
}

/// See [`super::token_losses`]: the mean is that of [`head_loss`], piece by piece, to the bit.
#[must_use]
pub fn token_losses(hidden: Tensor<2>, weight: Tensor<2>, targets: Tensor<1, Int>, logit_scale: f32) -> TokenLosses {
    let ([tokens, _], [vocab, _]) = (hidden.dims(), weight.dims());
    let mut each = Vec::new();
    let means = pieces(tokens, (LOGITS_AT_ONCE as usize / vocab).max(1)).map(|piece| {
        let share = piece.len() as f64 / tokens as f64;
        let (hidden, targets) = rows(&hidden, &targets, piece);
        let losses = plain::token_losses(hidden, weight.clone(), targets, logit_scale);
        each.push(losses.each);
        losses.mean.mul_scalar(share)
    });
    let mean = means.reduce(|sum, mean| sum + mean).expect("there are tokens");
    TokenLosses { mean, each: Tensor::cat(each, 0) }
}

/// Of some tokens, as parts of the mean over all.
struct LossAndGradients {
    cross_entropy: Tensor<1>,
    /// Where it has a weight.
    z_loss: Option<Tensor<1>>,
    /// `[tokens, d_model]`, piece by piece.
    for_hidden: Vec<Tensor<2>>,
    /// `[vocab, d_model]`, in 32 bits.
    for_weight: Tensor<2>,
}

impl LossAndGradients {
    fn of(
        hidden: Tensor<2>,
        weight: Tensor<2>,
        targets: Tensor<1, Int>,
        logit_scale: f32,
        z_weight: f32,
        of_tokens: usize,
    ) -> Self {
        let ([tokens, _], number) = (hidden.dims(), hidden.dtype());
        let weight = weight.cast(number);
        let logits = linear(hidden.clone(), weight.clone().transpose()).cast(FloatDType::F32);
        let logits = logits.mul_scalar(logit_scale); // [tokens, vocab]
        let targets = targets.reshape([tokens, 1]);
        let of_target = logits.clone().gather(1, targets.clone()); // over the vocabulary
        let highest = logits.clone().max_dim(1); // over the vocabulary
        let exponentials = (logits - highest.clone()).exp();
        let sum = exponentials.clone().sum_dim(1); // over the vocabulary
        let log_sum = sum.clone().log() + highest; // [tokens, 1]
        // Along a dimension: sums of all of a tensor have no fixed order on GPUs.
        let part = |losses: Tensor<2>| losses.sum_dim(0).reshape([1]).div_scalar(of_tokens as f64); // tokens
        let cross_entropy = part(log_sum.clone() - of_target);

        let softmax = exponentials / sum;
        // The derivative of the logarithm by a logit is its probability, of its square 2 log_sum times that.
        let (z_loss, by_logits) = if z_weight == 0.0 {
            (None, softmax)
        } else {
            let growth = log_sum.clone().mul_scalar(2.0 * z_weight).add_scalar(1.0);
            (Some(part(log_sum.square())), softmax * growth)
        };
        let minus_one = Tensor::full([tokens, 1], -1.0, &by_logits.device());
        let off = by_logits.scatter(1, targets, minus_one, IndexingUpdateOp::Add); // over the vocabulary
        let off = off.mul_scalar(f64::from(logit_scale) / of_tokens as f64).cast(number);
        Self {
            cross_entropy,
            z_loss,
            for_hidden: vec![off.clone().matmul(weight)],
            for_weight: off.transpose().matmul(hidden).cast(FloatDType::F32),
        }
    }

    fn and(mut self, next: Self) -> Self {
        self.for_hidden.extend(next.for_hidden);
        Self {
            cross_entropy: self.cross_entropy + next.cross_entropy,
            z_loss: self.z_loss.zip(next.z_loss).map(|(sum, next)| sum + next),
            for_weight: self.for_weight + next.for_weight,
            ..self
        }
    }
}

fn rows(hidden: &Tensor<2>, targets: &Tensor<1, Int>, piece: Range<usize>) -> (Tensor<2>, Tensor<1, Int>) {
    let (from, count) = (piece.start, piece.len());
    (hidden.clone().narrow(0, from, count), targets.clone().narrow(0, from, count)) // tokens
}

/// `0..count`, cut into pieces of `size` and a rest.
fn pieces(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(size).map(move |from| from..count.min(from + size))
}
