//! Messages between the benchmark and a measuring process: a task, then requests for samples and the samples, one line
//! of JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vocabulary::StageSpec;

/// PyTorch's mode of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Eager execution, in 32 bits.
    Eager,
    /// `torch.compile`, in 32 bits.
    Compile,
    /// Eager execution, with matrix products in bfloat16.
    Bf16,
    /// `torch.compile`, with matrix products in bfloat16.
    Bf16Compile,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Eager, Self::Compile, Self::Bf16, Self::Bf16Compile];

    /// Name in tables, on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Compile => "compile",
            Self::Bf16 => "bf16",
            Self::Bf16Compile => "bf16-compile",
        }
    }
}

/// A library that multiplies matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// The trainer's own.
    Windtunnel,
    /// numpy's, which is OpenBLAS unless it was built otherwise.
    Numpy,
    /// PyTorch's.
    Torch,
}

impl Library {
    /// Name in tables and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Windtunnel => "windtunnel",
            Self::Numpy => "numpy",
            Self::Torch => "torch",
        }
    }
}

/// What a process is to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Training steps.
    Steps {
        /// The stage to train.
        spec: Box<StageSpec>,
        /// Directory of the data, for the trainer; the peer makes up tokens.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
        /// Mode, for the peer.
        mode: Mode,
    },
    /// Products of two square matrices of 32-bit floats.
    Gemm {
        library: Library,
        /// Rows and columns.
        size: usize,
        /// Threads to use.
        threads: usize,
    },
    /// Each operation of a step alone.
    Operations {
        /// The stage to train.
        spec: Box<StageSpec>,
        /// Directory of the data.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
    },
    /// What a worker does around its steps.
    Around {
        /// The stage to train.
        spec: Box<StageSpec>,
        /// Directory of the data.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
        /// Directory where checkpoints may be written.
        scratch: PathBuf,
    },
    /// Versions of the peer's installation.
    Versions,
}

/// Sent by a process that is warm.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
}

/// Asks for a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Minimum duration.
    pub(crate) seconds: f64,
    /// Minimum number of units of work.
    pub(crate) at_least: usize,
}

/// Steps or products in sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Duration of each unit.
    pub(crate) seconds: Vec<f64>,
    /// Peak resident memory of the process.
    pub(crate) peak_bytes: Option<u64>,
    /// The last loss, if something was trained, in nats.
    pub(crate) loss: Option<f64>,
}
