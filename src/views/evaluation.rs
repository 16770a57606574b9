//! An evaluation of a campaign in a line.

use proto::v1;
use serde::Serialize;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Evaluation, Measurements, StageKey};

use super::stage::phase;

/// An evaluation and how it is doing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EvaluationView {
    pub(crate) key: String,
    pub(crate) stage: StageKey,
    pub(crate) name: String,
    pub(crate) size: String,
    pub(crate) seed: u64,
    /// Of the text, of each of its domains where it has several.
    pub(crate) tokens: u64,
    pub(crate) phase: &'static str,
    pub(crate) attempt: Option<u32>,
    pub(crate) worker: Option<String>,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) validation_loss_per_byte: Option<f64>,
    pub(crate) reason: String,
}

impl EvaluationView {
    pub(crate) fn new(evaluation: &Evaluation, status: &v1::StageStatus) -> Self {
        // A result that this version cannot read is shown as none.
        let result = status.result.clone().and_then(|result| Measurements::try_from(result).ok()).unwrap_or_default();
        Self {
            key: evaluation.key.to_string(),
            stage: evaluation.parent,
            name: evaluation.name.clone(),
            size: evaluation.size.clone(),
            seed: evaluation.seed,
            tokens: evaluation.spec.task.tokens,
            phase: phase(status.phase()),
            attempt: status.attempt,
            worker: status.worker.clone(),
            validation_loss: result.get(VALIDATION_LOSS),
            validation_loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE),
            reason: status.reason.clone(),
        }
    }

    /// The cells of its line.
    pub(crate) fn cells(&self) -> [String; 7] {
        let key: String = self.key.chars().take("stage_".len() + 8).collect();
        [
            key,
            self.stage.short(),
            self.size.clone(),
            self.name.clone(),
            self.phase.to_owned(),
            self.validation_loss.map(|loss| format!("{loss:.4}")).unwrap_or_default(),
            self.reason.clone(),
        ]
    }

    /// The header above those cells.
    pub(crate) const HEADER: [&'static str; 7] = ["evaluation", "of stage", "size", "text", "state", " loss", "remark"];
}
