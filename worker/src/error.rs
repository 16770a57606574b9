//! Why a worker cannot work.

use std::path::PathBuf;
use std::time::Duration;

use dial::EndpointError;

use crate::exit::ExitCode;
use crate::session::link::LinkError;
use crate::storage::StorageError;
use outbox::SpoolError;

/// Why a worker ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The coordinator cannot be dialled as it is asked for.
    #[error(transparent)]
    Dial(#[from] EndpointError),
    /// The device cannot be used.
    #[error("cannot train on the device `{device}`")]
    Device {
        /// What was given.
        device: String,
        /// Why.
        #[source]
        source: minicpm::ComputeError,
    },
    /// The name cannot be one of a directory.
    #[error("`{name}` cannot be a worker's name: expected letters, digits, `.`, `-` and `_`, 1 to 100 of them")]
    Name {
        /// What was given.
        name: String,
    },
    /// Another worker has the name.
    #[error("another worker called {name} uses {dir}: give this one another name")]
    NameTaken {
        /// The name.
        name: String,
        /// The directory of that worker.
        dir: PathBuf,
    },
    /// The data directory cannot be used.
    #[error("cannot use {path}")]
    DataDir {
        /// Which part of it.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The outbox cannot be used.
    #[error("cannot open the outbox")]
    Outbox(#[from] SpoolError),
    /// The coordinator keeps checkpoints where this worker cannot get at them.
    #[error("cannot use the coordinator's storage")]
    Storage(#[from] StorageError),
    /// The coordinator answered, and does not want this worker.
    #[error("the coordinator at {url} refuses this worker")]
    Refused {
        /// Its address.
        url: String,
        /// What it said.
        #[source]
        source: LinkError,
    },
    /// The coordinator did not answer for long.
    #[error("no word from the coordinator at {url} for {} s", after.as_secs())]
    Unreachable {
        /// Its address.
        url: String,
        /// For how long.
        after: Duration,
        /// What the last try ended with.
        #[source]
        source: Option<LinkError>,
    },
    /// The process cannot do what it needs: start a thread, watch for signals.
    #[error("cannot {action}")]
    Process {
        /// What it cannot do.
        action: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The training thread is gone.
    #[error("the training thread ended")]
    TrainingThread,
}

impl WorkerError {
    /// The code the process is to end with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Dial(_)
            | Self::Device { .. }
            | Self::Name { .. }
            | Self::DataDir { .. }
            | Self::Outbox(_)
            | Self::Storage(_)
            | Self::Refused { .. } => ExitCode::BadConfiguration,
            Self::Unreachable { .. } => ExitCode::Unreachable,
            // Whoever has the name may be about to end: a worker outlives a coordinator that was killed by some seconds.
            Self::NameTaken { .. } | Self::Process { .. } | Self::TrainingThread => ExitCode::Failed,
        }
    }
}
