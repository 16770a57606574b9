//! The peer: PyTorch, in a Python that the caller names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::process::{Probe, ProbeError};
use crate::task::Task;

const SCRIPT: &str = include_str!("peer.py");

/// Beginnings of the names of environment variables that hold a library back, or decide its threads. Each side is
/// measured at its best, and is told its threads.
const HELD_BACK_BY: [&str; 6] = ["OPENBLAS_", "OMP_", "MKL_", "GOMP_", "KMP_", "GOTO_"];

/// A Python and the script for it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    python: PathBuf,
    script: PathBuf,
}

/// What a Python has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Its own version.
    pub python: String,
    /// PyTorch's, where it is installed.
    pub torch: Option<String>,
    /// numpy's, where it is installed.
    pub numpy: Option<String>,
    /// Why PyTorch cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torch_error: Option<String>,
    /// Why numpy cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numpy_error: Option<String>,
}

impl Peer {
    /// Writes the script to a directory.
    pub(crate) fn new(python: &Path, scratch: &Path) -> io::Result<Self> {
        let script = scratch.join("peer.py");
        fs::write(&script, SCRIPT)?;
        Ok(Self { python: python.to_owned(), script })
    }

    /// Asks what is installed.
    pub(crate) fn versions(&self, scratch: &Path) -> Result<Versions, ProbeError> {
        let what = format!("`{}`", self.python.display());
        Probe::answer(self.command(1), &Task::Versions, what, scratch)
    }

    /// The command of a process that uses so many threads.
    pub(crate) fn command(&self, threads: usize) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(&self.script);
        for (name, _) in std::env::vars_os() {
            if HELD_BACK_BY.iter().any(|beginning| name.to_string_lossy().starts_with(beginning)) {
                command.env_remove(name);
            }
        }
        // PyTorch is told by the script. numpy's library reads this when it is loaded.
        command.env("OPENBLAS_NUM_THREADS", threads.to_string());
        command
    }
}
