//! What a step minimises: a sum of weighted terms, each a mean over the tokens of a batch.
//!
//! Whatever the terms, the loss that is reported is the next token's, in nats a token: it compares across objectives and with
//! the loss on held-out text, which is always the next token's. The gradients, and so their norm, are those of the sum.
//!
//! A batch goes through the network in pieces, and the means of the pieces are averaged by weight, never by length: what a
//! piece weighs is [`Rows::weight`] to say and nobody else's.

mod replica;
mod rows;

use std::sync::mpsc;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use corpus::Batch;
use minicpm::{Activations, Differentiated, MiniCpm};
use vocabulary::{Objective, Term};

use replica::{Moved, Weights};

pub(crate) use replica::Replica;
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

/// What a step differentiates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) objective: &'a Objective,
    pub(crate) batch: &'a Batch,
    /// How the batch is cut, and in which order the gradients of its pieces are added.
    pub(crate) shape: vocabulary::Batch,
    pub(crate) activations: Activations,
}

/// The gradients of some pieces of a batch, and the mean next-token loss of each, weighed by its share, by its number.
struct Sum {
    gradients: GradientsParams,
    losses: Vec<(usize, f64)>,
}

impl<'a> Step<'a> {
    /// The pieces of the batch in groups. The gradients of a group are added in order, and then those of the groups.
    fn groups(&self) -> Vec<Vec<(usize, Rows<'a>)>> {
        let pieces = Rows::pieces(self.batch, self.shape.micro_sequences as usize).enumerate();
        // One lane is a sum of single pieces: the same order, and each may come from another device.
        let lanes = match self.shape.lanes as usize {
            1 => self.shape.passes() as usize,
            lanes => lanes,
        };
        let mut groups = vec![Vec::new(); lanes];
        pieces.for_each(|(index, rows)| groups[index % lanes].push((index, rows)));
        groups
    }

    fn whole(&self) -> f64 {
        Rows::all(self.batch).weight()
    }

    /// The gradients of a group, on the device of a model.
    fn sum(&self, model: &MiniCpm, group: &[(usize, Rows<'_>)], device: &Device) -> Sum {
        let HeadTerms { z_weight } = HeadTerms::of(self.objective);
        let mut sum = Sum { gradients: GradientsParams::new(), losses: Vec::new() };
        for (index, rows) in group {
            let share = rows.weight() / self.whole();
            let (inputs, targets) = rows.tensors(device);
            let (loss, added) = model.gradients(inputs, targets, Differentiated { share, z_weight }, self.activations);
            sum.losses.push((*index, share * loss));
            model.add(added, &mut sum.gradients);
        }
        sum
    }

    /// Gradients of the objective over the batch, and its mean next-token loss. Group `g` is computed by device `g % k` of k,
    /// of which the first has the model; which device computed it changes no bit.
    pub(crate) fn gradients(
        self,
        model: &MiniCpm,
        device: &Device,
        replicas: &mut [Replica],
    ) -> (GradientsParams, f64) {
        let groups = self.groups();
        let devices = replicas.len() + 1;
        let weights = if replicas.is_empty() { Weights::default() } else { Weights::of(model) };
        let mut total = GradientsParams::new();
        let mut losses = Vec::new();
        std::thread::scope(|scope| {
            let mut arriving = Vec::new();
            for (replica, number) in replicas.iter_mut().zip(1..) {
                // Each replica is at most one group ahead, so that gradients do not pile up.
                let (send, receive) = mpsc::sync_channel(0);
                arriving.push(receive);
                let (weights, groups) = (&weights, &groups);
                scope.spawn(move || replica.compute(self, weights, groups.iter().skip(number).step_by(devices), &send));
            }
            for (number, group) in groups.iter().enumerate() {
                let sum = match (number % devices).checked_sub(1) {
                    None => self.sum(model, group, device),
                    Some(replica) => {
                        let moved: Moved =
                            arriving[replica].recv().expect("a replica ends before its last group only by a panic");
                        moved.onto(model, device)
                    }
                };
                losses.extend(sum.losses);
                model.add(sum.gradients, &mut total);
            }
        });
        // In the order of the pieces, whatever the lanes.
        losses.sort_by_key(|(index, _)| *index);
        (total, losses.into_iter().map(|(_, loss)| loss).sum())
    }
}
