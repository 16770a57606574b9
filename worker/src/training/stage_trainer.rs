//! The real trainer behind the shell's seam.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::OpenDataset;
use minicpm::Compute;
use trainer::{EvaluationRun, Origin, Snapshot, StageRun, StepReport};
use vocabulary::{Abilities, DatasetId, EvaluationKind, Measured, NUMERICS_VERSION, Precision, WorkKind};

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

    /// Opens a dataset and verifies its content. What this process has verified is not read again while no file changes.
    fn dataset(&mut self, dir: &Path, id: DatasetId) -> Result<Arc<OpenDataset>, TrainingError> {
        let open = match self.open.take() {
            Some((open, dataset)) if open == dir => dataset,
            _ => Arc::new(OpenDataset::open(dir)?),
        };
        open.verify_as(id)?;
        self.open = Some((dir.to_owned(), Arc::clone(&open)));
        Ok(open)
    }

    /// Loads a stage, ready for its next step.
    pub(crate) fn run(&mut self, order: &Order) -> Result<StageRun, TrainingError> {
        let dataset = self.dataset(&order.dataset_dir, order.stage.spec.data.dataset)?;
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

    fn abilities(&self) -> Abilities {
        let supported = |precision: &Precision| self.compute.install(|| self.compute.supports(*precision));
        Abilities {
            work: WorkKind::ALL.into(),
            numerics: Some(NUMERICS_VERSION),
            precisions: Some(Precision::ALL.into_iter().filter(supported).collect()),
            evaluations: Some(EvaluationKind::ALL.into()),
        }
    }

    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        let EvaluationOrder { evaluation, dataset_dir, checkpoint } = order;
        let dataset = self.dataset(dataset_dir, evaluation.spec.task.dataset)?;
        let snapshot = Snapshot::from_blobs(checkpoint.step, &checkpoint.blobs)?;
        let run = EvaluationRun::new(&evaluation.spec, dataset, &self.compute, &snapshot)?;
        Ok(Box::new(move |interrupter| Ok(run.measure(interrupter)?.map(Measured::from))))
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

    fn validate(&mut self) -> Result<Measured, TrainingError> {
        Ok(Self::validate(self)?.into())
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        let snapshot = Self::snapshot(self);
        Ok(Box::new(move || Ok(snapshot.to_blobs()?)))
    }
}

#[cfg(test)]
mod tests {
    use corpus::OpenError;
    use corpus::dataset::write_texts;

    use super::*;

    #[test]
    fn damaged_data_is_found_before_it_is_trained_on() {
        let folder = tempfile::tempdir().expect("a directory");
        let text: String = (0..2_000_u64).map(|i| format!("word{} ", (i * i) % 97)).collect();
        let (dataset, dir) = write_texts(folder.path(), &[&text], &[&text[..500]], 300).expect("is written");
        let mut trainer = StageTrainer::new(Compute::parse("flex", 1).expect("the CPU is always there"));
        trainer.dataset(&dir, dataset.id).expect("is sound");
        let other = DatasetId::from_content(b"other text");
        let error = trainer.dataset(&dir, other).expect_err("is another");
        assert!(error.to_string().contains(&other.to_string()), "{error}");

        // Half of a shard is overwritten, and its size stays the same.
        let shard = dir.join("train-00000.npy");
        let mut bytes = std::fs::read(&shard).expect("reads");
        let half = bytes.len() / 2;
        bytes[half..].fill(1);
        std::fs::write(&shard, bytes).expect("writes");
        for _ in 0..2 {
            let error = trainer.dataset(&dir, dataset.id).expect_err("is damaged");
            assert!(matches!(error.downcast_ref(), Some(OpenError::Damaged { path, .. }) if *path == shard), "{error}");
        }
    }
}
