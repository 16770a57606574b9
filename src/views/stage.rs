//! A stage of a campaign, one line.

use std::collections::BTreeMap;

use proto::v1;
use serde::Serialize;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measurements, Stage, Surgery};

use super::others;

/// A stage and its state.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageView {
    pub(crate) key: String,
    pub(crate) size: String,
    pub(crate) seed: u64,
    pub(crate) role: &'static str,
    pub(crate) start_step: u64,
    pub(crate) end_step: u64,
    /// What is done to the parent's model before the first step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) surgery: Vec<&'static str>,
    /// What it minimises, where that is not the next token's loss alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objective: Option<String>,
    pub(crate) phase: &'static str,
    pub(crate) attempt: Option<u32>,
    pub(crate) worker: Option<String>,
    pub(crate) committed_step: Option<u64>,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) validation_loss_per_byte: Option<f64>,
    /// What else was measured; `null` where it is not a number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) measurements: BTreeMap<String, f64>,
    pub(crate) reason: String,
    /// Steps of committed checkpoints found damaged or missing.
    pub(crate) damaged_checkpoints: Vec<u64>,
}

/// The state of a stage or evaluation as a word.
pub(super) fn phase(phase: v1::StagePhase) -> &'static str {
    match phase {
        v1::StagePhase::Unspecified => "unknown",
        v1::StagePhase::Waiting => "waiting",
        v1::StagePhase::Running => "running",
        v1::StagePhase::Completed => "completed",
        v1::StagePhase::Diverged => "diverged",
        v1::StagePhase::Failed => "given up",
        v1::StagePhase::NotRun => "not run",
    }
}

impl StageView {
    pub(crate) fn new(stage: &Stage, status: &v1::StageStatus) -> Self {
        // A result that this version cannot read is shown as none.
        let result = status.result.clone().and_then(|result| Measurements::try_from(result).ok()).unwrap_or_default();
        Self {
            key: stage.key.to_string(),
            size: stage.size.clone(),
            seed: stage.seed,
            role: stage.role.name(),
            start_step: stage.spec.steps.start,
            end_step: stage.spec.steps.end,
            surgery: stage.spec.start.surgery.iter().map(Surgery::name).collect(),
            objective: Some(&stage.spec.objective).filter(|objective| !objective.is_default()).map(ToString::to_string),
            phase: phase(status.phase()),
            attempt: status.attempt,
            worker: status.worker.clone(),
            committed_step: status.committed_step,
            validation_loss: result.get(VALIDATION_LOSS),
            validation_loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE),
            measurements: others(&result),
            reason: status.reason.clone(),
            damaged_checkpoints: status.damaged_checkpoints.clone(),
        }
    }

    fn remark(&self) -> String {
        let lost = self.damaged_checkpoints.iter().map(|step| format!("its checkpoint at step {step} was lost"));
        let reason = Some(self.reason.clone()).filter(|reason| !reason.is_empty());
        let others = self.measurements.iter().map(|(name, value)| format!("{name} {value:.4}"));
        let surgery = (!self.surgery.is_empty()).then(|| format!("after {}", self.surgery.join(", ")));
        let objective = self.objective.as_ref().map(|objective| format!("minimises {objective}"));
        surgery.into_iter().chain(objective).chain(reason).chain(lost).chain(others).collect::<Vec<_>>().join("; ")
    }

    /// The cells of its line: key, size, role, steps, phase, loss, remark.
    pub(crate) fn cells(&self) -> [String; 7] {
        let key: String = self.key.chars().take("stage_".len() + 8).collect();
        [
            key,
            self.size.clone(),
            self.role.to_owned(),
            format!("{}..{}", self.start_step, self.end_step),
            self.phase.to_owned(),
            self.validation_loss.map(|loss| format!("{loss:.4}")).unwrap_or_default(),
            self.remark(),
        ]
    }

    /// The header above those cells.
    pub(crate) const HEADER: [&'static str; 7] = ["stage", "size", "part", " steps", "state", " loss", "remark"];
}
