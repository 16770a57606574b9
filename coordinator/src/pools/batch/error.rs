//! Why a pool cannot be added or changed.

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// Why a request about a pool is not met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("no pool is called `{name}`: see `windtunnel pool list`")]
    Unknown { name: String },
    #[error("pool `{name}` already exists: remove it first, or choose another name")]
    Taken { name: String },
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
    #[error("this coordinator does not keep running: start `windtunnel serve`, and add the pool to that")]
    NotServing,
    /// A command or a server said no.
    #[error("{by} refuses such a job: {why}")]
    Refused { by: &'static str, why: String },
    /// No answer was obtained.
    #[error("cannot check whether such a job would be accepted: {why}")]
    Unanswered { why: String },
    #[error("cannot run `{program}` on the coordinator's machine")]
    NoProgram { program: &'static str, source: io::Error },
    #[error("{by} did not answer within {seconds} s")]
    TookTooLong { by: &'static str, seconds: u64 },
    #[error("cannot write {}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write what is known of the pool")]
    Store(#[from] StoreError),
    #[error("the coordinator stops")]
    Stopping,
}

/// What is wrong with the settings of a pool.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidSettings {
    #[error("{option}: accepted: {accepted}")]
    Value { option: &'static str, accepted: &'static str },
    #[error("`{arg}` cannot be handed to sbatch: {why}")]
    Arg { arg: String, why: String },
    #[error("--pod-spec: {why}")]
    PodSpec { why: String },
}
