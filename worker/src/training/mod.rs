//! What the shell asks of whatever trains: a seam, so that everything around training is tested without tensors.

mod stage_trainer;
mod steps;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use trainer::{Blob, StepReport, Validation};

pub use stage_trainer::StageTrainer;
pub(crate) use steps::{Event, Steps};

use vocabulary::Stage;

/// Whatever went wrong in training, with its causes. The shell passes its text on and decides nothing by it.
pub type TrainingError = Box<dyn Error + Send + Sync>;

/// A snapshot that still has to be brought into the form that is stored. It holds everything it needs, so that this
/// happens on another thread while training goes on.
pub type PendingBlobs = Box<dyn FnOnce() -> Result<Vec<Blob>, TrainingError> + Send>;

/// What to train, with everything at hand.
#[derive(Debug, Clone)]
pub struct Order {
    /// The stage.
    pub stage: Stage,
    /// Where its prepared data lies on this machine.
    pub dataset_dir: PathBuf,
    /// The checkpoint to start from; `None` where it starts from initial weights.
    pub start: Option<StartPoint>,
}

/// A checkpoint at hand.
#[derive(Debug, Clone)]
pub struct StartPoint {
    /// Whose it is: the stage's own, or its parent's.
    pub stage: vocabulary::StageKey,
    /// Steps done.
    pub step: u64,
    /// Its content.
    pub blobs: Arc<Vec<Blob>>,
}

/// Begins to train stages, one at a time, on a thread of its own.
pub trait Trainer: Send + 'static {
    /// A stage, ready for its next step.
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError>;

    /// What time it is, for the intervals between checkpoints and between reports. A simulation has a clock of its own.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A stage in training.
pub trait Training {
    /// The step that comes next, counted from the root.
    fn step(&self) -> u64;
    /// Whether no step is left.
    fn is_finished(&self) -> bool;
    /// Trains one step. A loss that is not a number is reported like any other.
    fn next_step(&mut self) -> Result<StepReport, TrainingError>;
    /// Measures the loss on the held-out tokens.
    fn validate(&mut self) -> Result<Validation, TrainingError>;
    /// All that is needed to go on from here.
    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError>;
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
