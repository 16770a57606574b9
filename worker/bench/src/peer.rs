//! The peer: PyTorch, in a Python that the caller names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::process::{Probe, ProbeError};
use crate::task::Task;

const SCRIPT: &str = include_str!("peer.py");

/// Prefixes of environment variables that restrict a library or set its threads. Each side is measured at its best with
/// an explicit number of threads.
const HELD_BACK_BY: [&str; 6] = ["OPENBLAS_", "OMP_", "MKL_", "GOMP_", "KMP_", "GOTO_"];

/// A Python and the script for it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    python: PathBuf,
    script: PathBuf,
}

/// Versions of a Python installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Version of Python.
    pub python: String,
    /// Version of PyTorch, if installed.
    pub torch: Option<String>,
    /// Version of numpy, if installed.
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

    /// Asks the installation for its versions.
    pub(crate) fn versions(&self, scratch: &Path) -> Result<Versions, ProbeError> {
        let what = format!("`{}`", self.python.display());
        Probe::answer(self.command(1), &Task::Versions, what, scratch)
    }

    /// Command of a process with this many threads.
    pub(crate) fn command(&self, threads: usize) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(&self.script);
        for (name, _) in std::env::vars_os() {
            if HELD_BACK_BY.iter().any(|beginning| name.to_string_lossy().starts_with(beginning)) {
                command.env_remove(name);
            }
        }
        // The script sets PyTorch's threads. numpy's library reads these variables when it is loaded.
        command.env("OPENBLAS_NUM_THREADS", threads.to_string());
        command
    }
}
