//! The loss on held-out text: forward passes alone, batch after batch.

use burn::tensor::Device;
use corpus::{BatchError, OpenDataset, ValidationSet};
use minicpm::{Compute, MiniCpm};

use crate::objective::Rows;
use crate::validation::{SetTotal, Validation};

/// A model outside any graph, on its device.
pub(crate) struct Measured<'a> {
    pub(crate) model: &'a MiniCpm,
    pub(crate) compute: &'a Compute,
    pub(crate) device: &'a Device,
}

impl Measured<'_> {
    /// The loss on the first `tokens` of the held-out text, of each domain by itself, in rows of `context`; `None` where
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
        for batch in set {
            if !goes_on() {
                return Ok(None);
            }
            let batch = batch?;
            let rows = Rows::all(&batch);
            weight += rows.weight();
            nats += rows.weight()
                * self.compute.install(|| {
                    let (inputs, targets) = rows.tensors(self.device);
                    f64::from(self.model.loss(inputs, targets).into_scalar::<f32>())
                });
        }
        Ok(Some(SetTotal { nats, weight, tokens, bytes }))
    }
}
