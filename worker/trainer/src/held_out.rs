//! The loss on held-out text: forward passes alone, batch after batch.

use burn::tensor::Device;
use corpus::{BatchError, Group, OpenDataset, ValidationSet};
use minicpm::ops::TokenLosses;
use minicpm::{Compute, MiniCpm};
use vocabulary::DocumentLoss;

use crate::objective::Rows;
use crate::validation::{SetTotal, Validation};

/// The losses of a set's documents, summed up token by token.
struct Documents {
    /// One past the last token of each.
    ends: Vec<u64>,
    losses: Vec<DocumentLoss>,
    /// The next token, and the document it is of.
    next: (u64, usize),
}

impl Documents {
    fn of(groups: &[Group]) -> Self {
        let empty = |group: &Group| DocumentLoss { nats: 0.0, tokens: group.end - group.start, bytes: group.bytes };
        Self {
            ends: groups.iter().map(|group| group.end).collect(),
            losses: groups.iter().map(empty).collect(),
            next: (0, 0),
        }
    }

    /// Takes in the losses of the tokens that come next.
    fn add(&mut self, losses: &[f32]) {
        let (token, document) = &mut self.next;
        for loss in losses {
            while self.ends.get(*document).is_some_and(|end| end <= token) {
                *document += 1;
            }
            if let Some(sum) = self.losses.get_mut(*document) {
                sum.nats += f64::from(*loss);
            }
            *token += 1;
        }
    }
}

/// A model outside any graph, on its device.
pub(crate) struct Measured<'a> {
    pub(crate) model: &'a MiniCpm,
    pub(crate) compute: &'a Compute,
    pub(crate) device: &'a Device,
}

impl Measured<'_> {
    /// The loss on `tokens` of the held-out text, of each domain by itself, in rows of `context`; `None` where
    /// `goes_on`, which is asked before every batch, said no.
    pub(crate) fn held_out_loss(
        &self,
        data: &OpenDataset,
        tokens: u64,
        context: u32,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Validation>, BatchError> {
        let mut sets = Vec::new();
        for set in data.validation_sets(tokens, context)? {
            let Some(total) = self.sum_up(set, goes_on)? else { return Ok(None) };
            sets.push(total);
        }
        Ok(Some(Validation::over(&sets)))
    }

    fn sum_up(
        &self,
        set: ValidationSet<'_>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<SetTotal>, BatchError> {
        let (tokens, bytes) = (set.tokens(), set.bytes());
        let (mut nats, mut weight) = (0.0, 0.0);
        let mut documents = Documents::of(set.groups());
        for batch in set {
            if !goes_on() {
                return Ok(None);
            }
            let batch = batch?;
            let rows = Rows::all(&batch);
            weight += rows.weight();
            let (mean, each) = self.compute.install(|| {
                let (inputs, targets) = rows.tensors(self.device);
                let TokenLosses { mean, each } = self.model.token_losses(inputs, targets);
                let each = each.into_data().try_into_vec::<f32>().expect("losses are 32-bit floats");
                (f64::from(mean.into_scalar::<f32>()), each)
            });
            nats += rows.weight() * mean;
            documents.add(&each);
        }
        Ok(Some(SetTotal { nats, weight, tokens, bytes, documents: documents.losses }))
    }
}
