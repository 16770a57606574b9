//! What a step minimises: a sum of weighted terms, each a mean over the tokens of a batch.
//!
//! Whatever the terms, the loss that is reported is the next token's, in nats a token: it compares across objectives and with
//! the loss on held-out text, which is always the next token's. The gradients, and so their norm, are those of the sum.
//!
//! A batch goes through the network in pieces, and the means of the pieces are averaged by weight, never by length: what a
//! piece weighs is [`Rows::weight`] to say and nobody else's.

mod rows;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use corpus::Batch;
use minicpm::{Activations, Differentiated, MiniCpm};
use vocabulary::{Objective, Term};

pub(crate) use rows::Rows;

/// What the head adds to the cross-entropy.
#[derive(Debug, Clone, Copy, Default)]
struct HeadTerms {
    z_weight: f64,
}

impl HeadTerms {
    fn of(objective: &Objective) -> Self {
        let mut terms = Self::default();
        for term in objective.terms() {
            match *term {
                Term::NextToken => {}
                Term::ZLoss { weight } => terms.z_weight = weight,
            }
        }
        terms
    }
}

/// Gradients of the objective over a batch, and its mean next-token loss, so many sequences at a time.
pub(crate) fn gradients(
    model: &MiniCpm,
    objective: &Objective,
    batch: &Batch,
    micro_sequences: usize,
    activations: Activations,
    device: &Device,
) -> (GradientsParams, f64) {
    let HeadTerms { z_weight } = HeadTerms::of(objective);
    let pieces = Rows::pieces(batch, micro_sequences);
    let whole: f64 = pieces.clone().map(|rows| rows.weight()).sum();
    let mut total = GradientsParams::new();
    let mut mean = 0.0;
    for rows in pieces {
        let share = rows.weight() / whole;
        let (inputs, targets) = rows.tensors(device);
        let (loss, added) = model.gradients(inputs, targets, Differentiated { share, z_weight }, activations);
        mean += share * loss;
        model.add(added, &mut total);
    }
    (total, mean)
}
