//! The shell around training: a process that dials out to a coordinator, trains the stages it is given, and brings their
//! curves, checkpoints and results where they belong.
//!
//! ```text
//! coordinator <--session::link--> shell --Order--> runner (a thread) --Training--> trainer
//!                                  |  ^                |
//!                          events  v  | actions        | reports: points, checkpoints, the end
//!                               session::Session <-----+
//!                                  |
//!                     outbox: what is not acknowledged, with a copy on disk
//! ```
//!
//! What is not acknowledged is in the [`outbox`], a crate of its own. The decisions are in [`session`], a value without I/O. This crate deliberately knows nothing of arithmetic, which is
//! behind the seam [`training`], and nothing of what other workers do. Start with [`session`], then [`run()`].
//!
//! A stage can be trained without a coordinator, too: [`train_standalone`], and trained again to compare: [`replay()`]. All three go through one step loop, in [`training`].

mod cadence;
pub mod checkpoint;
mod dataset;
mod error;
mod exit;
#[cfg(test)]
mod faults;
#[cfg(test)]
#[path = "../../tests/support/faulty.rs"]
mod faulty;
mod home;
mod jobs;
mod leave;
mod options;
mod replay;
mod run;
pub mod runner;
pub mod session;
mod shell;
mod standalone;
mod storage;
pub mod training;

pub use cadence::Cadence;
pub use dataset::{DatasetError, dataset_dir};
pub use error::WorkerError;
pub use exit::{ExitCode, WorkerExit};
pub use leave::Leave;
pub use options::WorkerOptions;
pub use replay::{ReplayOptions, Replayed, replay};
pub use run::{run, serve, serve_through};
pub use standalone::{StandaloneError, StandaloneOptions, StandaloneProgress, StandaloneResult, train_standalone};
pub use storage::{Storage, StorageError};
pub use vocabulary::AttemptKey;
