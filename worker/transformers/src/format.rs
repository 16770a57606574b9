//! The layouts.

use std::fmt;
use std::str::FromStr;

/// A layout of a checkpoint that `transformers` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `GraniteForCausalLM`, which released versions have: it multiplies where MiniCPM does, so weights go over as they
    /// are, tied embeddings included.
    Granite,
    /// `LlamaForCausalLM`, which everything reads. It multiplies nowhere, so the scalings are folded into the weights, and
    /// the head gets a table of its own.
    Llama,
    /// The layout of the first published MiniCPM models, whose code comes with the model and not with `transformers`.
    MiniCpm,
}

/// Not the name of a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a layout: expected granite, llama or minicpm")]
pub struct UnknownFormat {
    /// What it is.
    pub name: String,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Granite, Self::Llama, Self::MiniCpm];

    /// Its name, which is `model_type` in a `config.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Granite => "granite",
            Self::Llama => "llama",
            Self::MiniCpm => "minicpm",
        }
    }

    /// The class that computes with it.
    #[must_use]
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Granite => "GraniteForCausalLM",
            Self::Llama => "LlamaForCausalLM",
            Self::MiniCpm => "MiniCPMForCausalLM",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat { name: name.chars().take(80).collect() })
    }
}
