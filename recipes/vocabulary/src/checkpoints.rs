//! What becomes of a campaign's checkpoints. It decides none of a stage's numbers, so it is in no key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which checkpoints are kept, how much space they may take, and how often they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPolicy {
    /// Bytes that the committed checkpoints of the campaign's stages may take; unlimited if `None`.
    pub quota_bytes: Option<u64>,
    /// Which results are kept.
    pub keep: Keep,
    /// The shortest time between two checkpoints of a stage, in seconds.
    pub min_interval_seconds: u64,
    /// The longest time between two checkpoints of a stage, in seconds.
    pub max_interval_seconds: u64,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self { quota_bytes: None, keep: Keep::Results, min_interval_seconds: 10, max_interval_seconds: 600 }
    }
}

/// Whose last checkpoints are results that are kept. Those that other stages start from are kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Of every trial.
    Results,
    /// Of the trial of each size with the lowest loss.
    Best,
}
