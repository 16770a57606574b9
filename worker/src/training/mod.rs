//! The seam between the shell and whatever trains, so that everything around training is tested without tensors; and the
//! step loop, which everything that trains goes through.

mod hanging;
mod stage_trainer;
mod steps;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use trainer::{Blob, Interrupter, StepReport};

pub(crate) use hanging::Hanging;
pub use stage_trainer::StageTrainer;
pub(crate) use steps::{Event, Steps};

use vocabulary::{Abilities, Evaluation, EvaluationKind, Measured, NUMERICS_VERSION, Stage, Work};

/// An error of training, with its causes. The shell reports its text and decides nothing by it.
pub type TrainingError = Box<dyn Error + Send + Sync>;

/// A snapshot that is still to be encoded. It owns everything it needs, so that encoding runs on another thread while training
/// continues.
pub type PendingBlobs = Box<dyn FnOnce() -> Result<Vec<Blob>, TrainingError> + Send>;

/// What an attempt does.
#[expect(clippy::large_enum_variant, reason = "a worker has one at a time")]
#[derive(Debug, Clone)]
pub enum Task {
    /// It trains a stage.
    Train(Order),
    Evaluate(EvaluationOrder),
}

impl Task {
    /// Of work that is prepared. `None` of an evaluation that nothing was given to start from.
    pub(crate) fn of(work: Work, dataset_dir: PathBuf, start: Option<StartPoint>) -> Option<Self> {
        match work {
            Work::Train(stage) => Some(Self::Train(Order { stage, dataset_dir, start })),
            Work::Evaluate(evaluation) => {
                let checkpoint = start?;
                Some(Self::Evaluate(EvaluationOrder { evaluation, dataset_dir, checkpoint }))
            }
        }
    }

    /// The checkpoint it starts from.
    pub(crate) fn start(&self) -> Option<&StartPoint> {
        match self {
            Self::Train(order) => order.start.as_ref(),
            Self::Evaluate(order) => Some(&order.checkpoint),
        }
    }
}

/// What to evaluate, with everything at hand.
#[derive(Debug, Clone)]
pub struct EvaluationOrder {
    /// What is measured.
    pub evaluation: Evaluation,
    /// Where the text it is measured on lies on this machine, prepared.
    pub dataset_dir: PathBuf,
    /// The checkpoint that is measured.
    pub checkpoint: StartPoint,
}

/// A stage to train, with everything it needs.
#[derive(Debug, Clone)]
pub struct Order {
    /// What to train, with its place in the tree.
    pub stage: Stage,
    /// The directory of its dataset on this machine.
    pub dataset_dir: PathBuf,
    /// The checkpoint to start from; `None` for initial weights.
    pub start: Option<StartPoint>,
}

/// A checkpoint to start from.
#[derive(Debug, Clone)]
pub struct StartPoint {
    /// The stage it belongs to: the one to train, or its parent.
    pub stage: vocabulary::StageKey,
    /// Steps done.
    pub step: u64,
    /// Its content.
    pub blobs: Arc<Vec<Blob>>,
}

/// Measures a checkpoint that is loaded; `None` where the interrupter stopped it.
pub type Measuring = Box<dyn FnOnce(&Interrupter) -> Result<Option<Measured>, TrainingError>>;

/// Starts stages and evaluates them, one at a time, on the training thread.
pub trait Trainer: Send + 'static {
    /// Loads a stage, ready for its next step.
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError>;

    /// Loads a checkpoint, ready to be measured.
    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError>;

    /// What it can do: with this version's arithmetic, everything, in whatever number format.
    fn abilities(&self) -> Abilities {
        Abilities {
            numerics: Some(NUMERICS_VERSION),
            evaluations: Some(EvaluationKind::ALL.into()),
            ..Abilities::default()
        }
    }

    /// The time, for the intervals between checkpoints and between reports. Simulations have their own clock.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A stage in training.
pub trait Training {
    /// The next step, counted from the root.
    fn step(&self) -> u64;
    /// Whether no step is left.
    fn is_finished(&self) -> bool;
    /// Trains one step. An infinite or NaN loss is reported like any other.
    fn next_step(&mut self) -> Result<StepReport, TrainingError>;
    /// Measures the result of the stage: the losses on held-out tokens.
    fn validate(&mut self) -> Result<Measured, TrainingError>;
    /// Everything needed to resume from here.
    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError>;
}
