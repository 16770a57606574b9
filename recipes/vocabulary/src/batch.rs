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
    /// How many sums the passes' gradients are first added to: pass `p` to sum `p % lanes`, and the sums to each other in
    /// order. One adds pass after pass. It decides the last bits of a gradient, so it is in the key; how many devices compute
    /// the passes decides nothing.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lanes: u32,
}

fn one() -> u32 {
    1
}

fn is_one(lanes: &u32) -> bool {
    *lanes == 1
}

impl Batch {
    /// Forward and backward passes per optimiser step.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.sequences.div_ceil(self.micro_sequences)
    }

    /// Tokens per optimiser step.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        u64::from(self.sequences) * u64::from(self.context)
    }
}
