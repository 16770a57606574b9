//! Rows of the tables, as plain data.

use vocabulary::{Attempt, AttemptKey, CampaignId, Measurements, StageKey};

/// One measurement on a loss curve. NaN and infinities are stored and come back as such.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePoint {
    /// The step, counted from the root.
    pub step: u64,
    /// The loss of its batch, in nats per token.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate, eta.
    pub learning_rate: f64,
    /// Measured beside these by stages that record.
    pub measurements: Measurements,
}

/// When a campaign was submitted, which the log's facts do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignRow {
    pub campaign: CampaignId,
    /// When it was first submitted, in milliseconds since 1970.
    pub submitted_at_ms: u64,
}

/// A checkpoint that was verified and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedCheckpoint {
    /// The stage it belongs to.
    pub stage: StageKey,
    /// The attempt that wrote it.
    pub attempt: Attempt,
    /// Steps done, counted from the root.
    pub step: u64,
    /// Path of its manifest, below the root of the storage.
    pub manifest_path: String,
    /// BLAKE3 hash of the manifest, in hexadecimal.
    pub manifest_hash: String,
    /// Size of all its files, in bytes.
    pub bytes: u64,
}

impl CommittedCheckpoint {
    /// The attempt that wrote it.
    #[must_use]
    pub fn key(&self) -> AttemptKey {
        AttemptKey { stage: self.stage, attempt: self.attempt }
    }
}

/// The recipe a campaign was last submitted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeText {
    /// Name of the file.
    pub file: String,
    /// Its contents.
    pub text: String,
}

/// An attempt at a stage or an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub key: AttemptKey,
    /// The name of the worker; empty in attempts of earlier versions, which did not record it.
    pub worker_name: String,
    /// In milliseconds since 1970.
    pub started_at_ms: u64,
    /// In milliseconds since 1970; `None` while it runs.
    pub ended_at_ms: Option<u64>,
}

/// A stage that a single attempt trained from beginning to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeAttempt {
    pub stage: StageKey,
    /// When the attempt started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_at_ms: u64,
}
