//! Trains a stage: batches in, losses and checkpoints out.
//!
//! [`StageRun`] is a stage in training. Its caller asks for one step after the other, and for a [`Snapshot`] whenever it
//! likes. A run that starts from a snapshot continues the run it was taken from bit for bit, because the learning rate and
//! the batch are pure functions of the step, and everything else is in the snapshot.
//!
//! ```text
//! corpus::OpenDataset --batch(step)--> MiniCpm --objective--> gradients --clip, AdamW--> MiniCpm
//! ```
//!
//! This crate deliberately knows no coordinator, no network, no files and no clock. Start with [`run`], the step. `objective`
//! is what a step minimises, `surgery` what is done to a parent's checkpoint before the first, [`optimizer`] has AdamW,
//! [`snapshot`] the form of a checkpoint; [`evaluation`] measures one, [`inference`] computes with it, [`change`] compares
//! two; [`coordinates`] looks at activations over widths.

pub mod change;
pub mod coordinates;
pub mod evaluation;
mod fit;
mod held_out;
pub mod inference;
mod objective;
pub mod optimizer;
mod parameters;
mod recorder;
pub mod run;
pub mod snapshot;
mod surgery;
mod validation;

pub use burn_train::Interrupter;
pub use evaluation::EvaluationRun;
pub use fit::FitError;
pub use inference::{Inference, InferenceError};
pub use run::{Origin, StageRun, StartError, StepError, StepReport};
pub use snapshot::{Blob, Description, HostTensor, Snapshot, SnapshotError};
pub use surgery::OperationError;
pub use validation::Validation;
