//! Why a worker cannot work.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use dial::AddressError;

use crate::exit::ExitCode;
use crate::pulse::Quiet;
use crate::session::WireError;
use crate::session::link::LinkError;
use outbox::SpoolError;
use storage::{ProofError, StorageError};

/// A worker that ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The coordinator's address or the credentials cannot be used.
    #[error(transparent)]
    Dial(#[from] AddressError),
    /// The device cannot be used.
    #[error("cannot train on the device `{device}`")]
    Device {
        /// The device's name, as given.
        device: String,
        #[source]
        source: minicpm::ComputeError,
    },
    /// The name cannot be used for a directory.
    #[error("`{name}` cannot be a worker's name: expected letters, digits, `.`, `-` and `_`, 1 to 100 of them")]
    Name { name: String },
    /// A running worker has the same name and data directory.
    #[error("another worker called {name} uses {dir}: give this one another name")]
    NameTaken {
        name: String,
        /// That worker's directory.
        dir: PathBuf,
    },
    /// Somebody else could change what this worker writes.
    #[error("{path} belongs to another user (uid {owner}): give this worker a --data-dir of its own")]
    NotOurs {
        path: PathBuf,
        /// The user who owns it.
        owner: u32,
    },
    /// The data directory cannot be read or written.
    #[error("cannot use {path}")]
    DataDir {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The outbox on disk cannot be used.
    #[error("cannot open the outbox")]
    Outbox(#[from] SpoolError),
    /// This worker cannot reach the coordinator's checkpoints and datasets.
    #[error("cannot use the coordinator's storage")]
    Storage(#[from] StorageError),
    /// What this worker sees at the address of the coordinator's storage is something else.
    #[error("what this machine has at {address} is not the coordinator's storage")]
    OtherStorage {
        /// The address that the coordinator named.
        address: String,
        /// What it sees instead.
        #[source]
        source: ProofError,
    },
    /// The coordinator refused this worker.
    #[error("the coordinator at {url} refuses this worker")]
    Refused {
        /// Address of the coordinator.
        url: String,
        /// The refusal.
        #[source]
        source: LinkError,
    },
    /// The coordinator speaks another protocol.
    #[error("cannot work for the coordinator at {url}")]
    Protocol {
        /// Address of the coordinator.
        url: String,
        /// Both versions.
        #[source]
        source: WireError,
    },
    /// The coordinator did not answer for too long.
    #[error("the coordinator at {url} has not answered for {} s", after.as_secs())]
    Unreachable {
        /// Address of the coordinator.
        url: String,
        /// Time since the last answer.
        after: Duration,
        /// The error of the last try.
        #[source]
        source: Option<LinkError>,
    },
    /// The training thread makes no progress.
    #[error("training hangs: {quiet}")]
    Stalled {
        /// What it did last, and how long ago.
        quiet: Quiet,
    },
    /// The process cannot start a thread or watch for signals.
    #[error("cannot {action}")]
    Process {
        /// What it cannot do, as an infinitive.
        action: &'static str,
        #[source]
        source: io::Error,
    },
    /// The training thread ended unexpectedly.
    #[error("the training thread ended")]
    TrainingThread,
}

impl WorkerError {
    /// Exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Dial(_)
            | Self::Device { .. }
            | Self::Name { .. }
            | Self::NotOurs { .. }
            | Self::Storage(_)
            | Self::OtherStorage { .. }
            | Self::Refused { .. }
            | Self::Protocol { .. } => ExitCode::BadConfiguration,
            Self::DataDir { source, .. } => of_file(source),
            Self::Outbox(error) => of_file(error.io()),
            Self::Unreachable { .. } => ExitCode::Unreachable,
            // The other worker may be about to exit: a worker outlives a killed coordinator by some seconds.
            Self::NameTaken { .. } | Self::Stalled { .. } | Self::Process { .. } | Self::TrainingThread => {
                ExitCode::Failed
            }
        }
    }
}

/// Starting again helps unless somebody first has to change an owner, a name, or what is in the way. A full disk or a server
/// that is away passes.
fn of_file(error: &io::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => ExitCode::BadConfiguration,
        _ => ExitCode::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_configuration() {
        let code = |number| {
            let source = io::Error::from_raw_os_error(number);
            WorkerError::DataDir { path: "lock".into(), source }.exit_code()
        };
        // As Linux numbers them.
        let passing = [("EIO", 5), ("EMFILE", 24), ("ENOSPC", 28), ("EROFS", 30), ("ENOLCK", 37), ("ESTALE", 116)];
        for (name, number) in passing {
            assert_eq!(code(number), ExitCode::Failed, "{name}");
        }
        for (name, number) in [("EPERM", 1), ("EACCES", 13), ("ENOTDIR", 20), ("EISDIR", 21), ("ENAMETOOLONG", 36)] {
            assert_eq!(code(number), ExitCode::BadConfiguration, "{name}");
        }
        let full = io::Error::from_raw_os_error(28);
        let outbox = WorkerError::Outbox(SpoolError::Create { dir: "outbox".into(), source: full });
        assert_eq!(outbox.exit_code(), ExitCode::Failed);
    }
}
