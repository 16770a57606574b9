//! The shell around training: a process that dials a coordinator, trains the stages it is assigned, and delivers their
//! curves, checkpoints and results.
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
//! The decisions are in [`session`], a value without I/O. Messages that are not acknowledged yet are in the [`outbox`], a crate
//! of its own. This crate deliberately knows nothing of arithmetic, which is behind the seam [`training`], and nothing of what
//! other workers do. Start with [`session`], then [`run()`].
//!
//! A stage can also be trained without a coordinator ([`train_standalone`]) and once more for comparison ([`replay()`]). All
//! three go through one step loop, in [`training`].

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
mod fetch;
mod home;
mod jobs;
mod leave;
mod login;
mod measure_again;
mod node_cache;
mod options;
mod place;
mod pulse;
mod replay;
mod run;
pub mod runner;
pub mod session;
mod shell;
mod standalone;
mod term;
pub mod training;

pub use cadence::Cadence;
pub use dataset::{DatasetError, LocalDataset, local_dataset};
pub use error::WorkerError;
pub use exit::{ExitCode, WorkerExit};
pub use leave::{Leave, ignores_hangups};
pub use measure_again::{MeasureAgainOptions, measure_again};
pub use node_cache::{CacheError, InUse, NodeCache};
pub use options::{DEFAULT_NODE_CACHE_BYTES, WorkerOptions};
pub use place::this_place;
pub use pulse::{Phase, Quiet, StallLimits};
pub use replay::{ReplayOptions, Replayed, replay};
pub use run::{run, serve, serve_through};
pub use standalone::{StandaloneError, StandaloneOptions, StandaloneProgress, StandaloneResult, train_standalone};
pub use storage::{Storage, StorageError};
pub use vocabulary::AttemptKey;
