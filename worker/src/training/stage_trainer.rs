//! The real trainer behind the shell's seam.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::OpenDataset;
use minicpm::Compute;
use trainer::{EvaluationRun, Origin, Snapshot, StageRun, StepReport};
use vocabulary::Measurements;

use super::{EvaluationOrder, Measuring, Order, PendingBlobs, Trainer, Training, TrainingError};

/// Trains stages on one device. Keeps the last dataset open, because stages of a campaign share it.
#[derive(Debug)]
pub struct StageTrainer {
    compute: Compute,
    open: Option<(PathBuf, Arc<OpenDataset>)>,
}

impl StageTrainer {
    /// A trainer on this device.
    #[must_use]
    pub fn new(compute: Compute) -> Self {
        Self { compute, open: None }
    }

    fn dataset(&mut self, dir: &Path) -> Result<Arc<OpenDataset>, TrainingError> {
        if let Some((open, dataset)) = &self.open
            && open == dir
        {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(OpenDataset::open(dir)?);
        self.open = Some((dir.to_owned(), Arc::clone(&dataset)));
        Ok(dataset)
    }

    /// Loads a stage, ready for its next step.
    pub(crate) fn run(&mut self, order: &Order) -> Result<StageRun, TrainingError> {
        let dataset = self.dataset(&order.dataset_dir)?;
        let Order { stage, start, .. } = order;
        let snapshot = start.as_ref().map(|start| Snapshot::from_blobs(start.step, &start.blobs)).transpose()?;
        let origin = match (start, &snapshot) {
            (Some(start), Some(snapshot)) if start.stage == stage.key => Origin::Own(snapshot),
            (_, Some(snapshot)) => Origin::Parent(snapshot),
            (_, None) => Origin::Initial,
        };
        Ok(StageRun::new(&stage.spec, dataset, &self.compute, origin)?)
    }
}

impl Trainer for StageTrainer {
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError> {
        Ok(Box::new(self.run(order)?))
    }

    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        let EvaluationOrder { evaluation, dataset_dir, checkpoint } = order;
        let dataset = self.dataset(dataset_dir)?;
        let snapshot = Snapshot::from_blobs(checkpoint.step, &checkpoint.blobs)?;
        let run = EvaluationRun::new(&evaluation.spec, dataset, &self.compute, &snapshot)?;
        Ok(Box::new(move |interrupter| Ok(run.measure(interrupter)?.map(|validation| validation.measurements))))
    }
}

impl Training for StageRun {
    fn step(&self) -> u64 {
        Self::step(self)
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn next_step(&mut self) -> Result<StepReport, TrainingError> {
        Ok(Self::next_step(self)?)
    }

    fn validate(&mut self) -> Result<Measurements, TrainingError> {
        Ok(Self::validate(self)?.measurements)
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        let snapshot = Self::snapshot(self);
        Ok(Box::new(move || Ok(snapshot.to_blobs()?)))
    }
}
