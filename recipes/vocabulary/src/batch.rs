//! What an optimiser step consumes.

use serde::{Deserialize, Serialize};

/// What one optimiser step consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Sequences per optimiser step.
    pub sequences: u32,
    /// Tokens per sequence.
    pub context: u32,
    /// Sequences per forward and backward pass; gradients accumulate over `sequences / micro_sequences` passes.
    pub micro_sequences: u32,
}

impl Batch {
    /// Tokens per optimiser step.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        u64::from(self.sequences) * u64::from(self.context)
    }
}
