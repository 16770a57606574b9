//! What is said between the command and a measuring process: a task, then requests for samples and the samples, a line of
//! JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vocabulary::StageSpec;

/// How PyTorch trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Operation by operation, in 32 bits.
    Eager,
    /// `torch.compile`, in 32 bits.
    Compile,
    /// Operation by operation, with matrix products in bfloat16.
    Bf16,
    /// `torch.compile`, with matrix products in bfloat16.
    Bf16Compile,
}

impl Mode {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Eager, Self::Compile, Self::Bf16, Self::Bf16Compile];

    /// Its name in tables, on the command line and in JSON.
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

/// Whose matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Library {
    /// The trainer's own.
    Windtunnel,
    /// numpy's, which is OpenBLAS unless somebody built it otherwise.
    Numpy,
    /// PyTorch's.
    Torch,
}

impl Library {
    /// Its name in tables and in JSON.
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
        /// Of which stage.
        spec: Box<StageSpec>,
        /// The data, for the trainer; the peer makes up tokens.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
        /// How, for the peer.
        mode: Mode,
    },
    /// Products of two square matrices of 32-bit floats.
    Gemm {
        /// Whose.
        library: Library,
        /// Rows and columns.
        size: usize,
        /// Threads to use.
        threads: usize,
    },
    /// Each operation of a step by itself.
    Operations {
        /// Of which stage.
        spec: Box<StageSpec>,
        /// The data.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
    },
    /// What a worker does around its steps.
    Around {
        /// Of which stage.
        spec: Box<StageSpec>,
        /// The data.
        dataset: PathBuf,
        /// Threads to use.
        threads: usize,
        /// Where checkpoints may be written.
        scratch: PathBuf,
    },
    /// What the peer's installation has.
    Versions,
}

/// Said by a process that is warm.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
}

/// Asks for a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Go on for this long,
    pub(crate) seconds: f64,
    /// and until so many units of work are done.
    pub(crate) at_least: usize,
}

/// Steps or products, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// How long each took.
    pub(crate) seconds: Vec<f64>,
    /// The most memory the process ever had resident.
    pub(crate) peak_bytes: Option<u64>,
    /// The last loss, where something was trained.
    pub(crate) loss: Option<f64>,
}
