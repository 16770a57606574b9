//! A trainer that hangs on request, for tests of what becomes of one that does.

use std::path::PathBuf;
use std::time::Duration;

use vocabulary::Measured;

use super::{EvaluationOrder, Measuring, Order, PendingBlobs, StepReport, Trainer, Training, TrainingError};

/// Trains like another, but makes no step while a file is there.
pub(crate) struct Hanging<T> {
    pub(crate) trainer: T,
    /// Never hangs without one.
    pub(crate) file: Option<PathBuf>,
}

impl<T: Trainer> Trainer for Hanging<T> {
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError> {
        let training = self.trainer.start(order)?;
        Ok(match &self.file {
            Some(file) => Box::new(HangingTraining { training, file: file.clone() }),
            None => training,
        })
    }

    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        self.trainer.evaluate(order)
    }
}

struct HangingTraining {
    training: Box<dyn Training>,
    file: PathBuf,
}

impl Training for HangingTraining {
    fn step(&self) -> u64 {
        self.training.step()
    }

    fn is_finished(&self) -> bool {
        self.training.is_finished()
    }

    fn next_step(&mut self) -> Result<StepReport, TrainingError> {
        while self.file.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.training.next_step()
    }

    fn validate(&mut self) -> Result<Measured, TrainingError> {
        self.training.validate()
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        self.training.snapshot()
    }
}
