//! What a step minimises: a sum of weighted terms, each a mean over the tokens of a batch.
//!
//! A batch goes through the network in pieces, and the means of the pieces are averaged by weight, never by length: what a
//! piece weighs is [`Rows::weight`] to say and nobody else's.

mod rows;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use corpus::Batch;
use minicpm::{Activations, Differentiated, MiniCpm};

pub(crate) use rows::Rows;

/// Gradients of the objective over a batch, and its mean next-token loss, so many sequences at a time.
pub(crate) fn gradients(
    model: &MiniCpm,
    batch: &Batch,
    micro_sequences: usize,
    activations: Activations,
    device: &Device,
) -> (GradientsParams, f64) {
    let pieces = Rows::pieces(batch, micro_sequences);
    let whole: f64 = pieces.clone().map(|rows| rows.weight()).sum();
    let mut total = GradientsParams::new();
    let mut mean = 0.0;
    for rows in pieces {
        let share = rows.weight() / whole;
        let (inputs, targets) = rows.tensors(device);
        let (loss, added) = model.gradients(inputs, targets, Differentiated { share, z_weight: 0.0 }, activations);
        mean += share * loss;
        model.add(added, &mut total);
    }
    (total, mean)
}
