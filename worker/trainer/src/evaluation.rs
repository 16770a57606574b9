//! Evaluations: a checkpoint measured, without its optimiser.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use burn_train::Interrupter;
use corpus::OpenDataset;
use minicpm::{Compute, MiniCpm, MiniCpmConfig};
use vocabulary::{EvaluationKind, EvaluationSpec, EvaluationTask};

use crate::fit::with_weights;
use crate::held_out::Measured;
use crate::run::{Setting, StartError, StepError, check_model};
use crate::snapshot::Snapshot;
use crate::validation::Validation;

/// A checkpoint's model beside the text it is measured on.
///
/// What it measures is, bit for bit, what the stage would have measured after its last step on the same tokens in the same
/// precision.
#[derive(Debug)]
pub struct EvaluationRun {
    spec: EvaluationSpec,
    data: Arc<OpenDataset>,
    model: MiniCpm,
    compute: Compute,
    device: Device,
}

impl EvaluationRun {
    /// A checkpoint, ready to be measured.
    ///
    /// # Errors
    /// If the checkpoint is of another model, or the data or the device cannot serve the evaluation.
    pub fn new(
        spec: &EvaluationSpec,
        data: Arc<OpenDataset>,
        compute: &Compute,
        snapshot: &Snapshot,
    ) -> Result<Self, StartError> {
        let EvaluationTask { dataset, tokens, context, .. } = spec.task;
        let EvaluationSpec { model, precision, numerics_version, .. } = spec;
        Setting { dataset, model, precision: *precision, numerics_version: *numerics_version }.check(&data, compute)?;
        data.validation_sets(tokens, context).map_err(StartError::Batch)?;
        if let Some(description) = &snapshot.description {
            check_model(&description.model, model)?;
        }
        let device = compute.device();
        let config = MiniCpmConfig { spec: *model, context: context as usize };
        let model = compute.install(|| with_weights(config.init(0, &device), snapshot))?;
        let model = compute.install(|| model.with_precision(*precision).valid());
        Ok(Self { spec: spec.clone(), data, model, compute: compute.clone(), device: device.inner() })
    }

    /// Measures it; `None` where the interrupter stopped it between two batches.
    ///
    /// # Errors
    /// If the text cannot be read.
    pub fn measure(&self, interrupter: &Interrupter) -> Result<Option<Validation>, StepError> {
        let EvaluationTask { kind, tokens, context, .. } = self.spec.task;
        let Self { model, compute, device, .. } = self;
        let measured = Measured { model, compute, device };
        let goes_on = &mut || !interrupter.should_stop();
        match kind {
            EvaluationKind::HeldOutLoss => measured.held_out_loss(&self.data, tokens, context, goes_on),
        }
        .map_err(StepError::Batch)
    }
}
