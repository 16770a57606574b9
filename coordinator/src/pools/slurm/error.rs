//! Why a pool cannot be added or changed.

use std::io;
use std::path::PathBuf;

use super::settings::InvalidSettings;
use crate::store::StoreError;

/// Why a request about a pool is not met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlurmError {
    #[error("no pool is called `{name}`: see `windtunnel pool list`")]
    Unknown { name: String },
    #[error("there is a pool `{name}` already: remove it first, or choose another name")]
    Taken { name: String },
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
    #[error("this coordinator does not keep running: start `windtunnel serve`, and add the pool to that")]
    NotServing,
    #[error("`sbatch --test-only` refuses such a job: {why}")]
    Refused { why: String },
    #[error("cannot run `{program}` on the coordinator's machine")]
    NoSlurm { program: &'static str, source: io::Error },
    #[error("`{program}` did not answer within {seconds} s")]
    TookTooLong { program: &'static str, seconds: u64 },
    #[error("cannot write {}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write what is known of the pool")]
    Store(#[from] StoreError),
    #[error("the coordinator stops")]
    Stopping,
}
