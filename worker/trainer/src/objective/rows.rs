//! Sequences that go through the network at once, and what their loss weighs.

use burn::tensor::{Device, Int, Tensor, TensorData};
use corpus::Batch;

/// Sequences that go through the network at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    inputs: &'a [i32],
    targets: &'a [i32],
    context: usize,
}

impl<'a> Rows<'a> {
    /// A whole batch.
    pub(crate) fn all(batch: &'a Batch) -> Self {
        Self { inputs: &batch.inputs, targets: &batch.targets, context: batch.context }
    }

    /// A batch in pieces of so many sequences; the last may have fewer.
    pub(crate) fn pieces(batch: &'a Batch, sequences: usize) -> impl Iterator<Item = Self> + Clone {
        let tokens = sequences * batch.context;
        let pieces = batch.inputs.chunks(tokens).zip(batch.targets.chunks(tokens));
        pieces.map(|(inputs, targets)| Self { inputs, targets, context: batch.context })
    }

    /// What their mean loss counts for beside that of other rows: the tokens that are predicted.
    pub(crate) fn weight(&self) -> f64 {
        self.targets.len() as f64
    }

    /// Inputs and targets on a device.
    ///
    /// # Shapes
    /// - returns `[sequences, context]` and `[sequences * context]`.
    pub(crate) fn tensors(&self, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>) {
        let Self { inputs, targets, context } = *self;
        let inputs = TensorData::new(inputs.to_vec(), [inputs.len() / context, context]);
        let targets = TensorData::new(targets.to_vec(), [targets.len()]);
        (Tensor::from_data(inputs, device), Tensor::from_data(targets, device))
    }
}
