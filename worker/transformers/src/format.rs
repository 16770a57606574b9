//! The supported layouts.

use std::fmt;
use std::str::FromStr;

/// A layout of checkpoints that `transformers` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `GraniteForCausalLM`, part of released versions. It scales where MiniCPM does, so weights carry over unchanged,
    /// tied embeddings included.
    Granite,
    /// `LlamaForCausalLM`, which every tool reads. It scales nothing, so the scalings are folded into the weights, and
    /// the head gets a table of its own.
    Llama,
    /// Layout of the first published MiniCPM models, whose code ships with the model instead of with `transformers`.
    MiniCpm,
}

/// Not the name of a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a layout: expected granite, llama or minicpm")]
pub struct UnknownFormat {
    /// The name given.
    pub name: String,
}

impl Format {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::Granite, Self::Llama, Self::MiniCpm];

    /// Its name, which is the `model_type` in a `config.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Granite => "granite",
            Self::Llama => "llama",
            Self::MiniCpm => "minicpm",
        }
    }

    /// The `transformers` class that computes it.
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
