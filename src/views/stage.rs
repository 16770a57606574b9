//! A stage of a campaign and its state.

use std::collections::BTreeMap;

use proto::v1;
use serde::Serialize;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::search::Settings;
use vocabulary::{Measurements, Plan, Stage, StageKey, Surgery};

use super::others;

/// A stage and its state.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StageView {
    pub(crate) key: String,
    #[serde(skip)]
    pub(super) parent: Option<StageKey>,
    pub(crate) size: String,
    pub(crate) seed: u64,
    pub(crate) peak_lr: f64,
    /// Tokens a step.
    pub(crate) batch_tokens: u64,
    /// The arms whose trials share it, where the recipe has arms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) arms: Vec<String>,
    /// The trials that share it, counted from 1.
    pub(crate) trials: Vec<usize>,
    /// The values that a search gave its trials, where they agree.
    #[serde(skip_serializing_if = "Settings::is_empty")]
    pub(crate) settings: Settings,
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
    #[serde(flatten)]
    pub(crate) times: TimesView,
    pub(crate) committed_step: Option<u64>,
    /// Steps done, counted from the root, those that are not committed yet included.
    pub(crate) step: Option<u64>,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) validation_loss_per_byte: Option<f64>,
    /// What else was measured; `null` where it is not a number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) measurements: BTreeMap<String, f64>,
    pub(crate) reason: String,
    /// Steps of committed checkpoints found damaged or missing.
    pub(crate) damaged_checkpoints: Vec<u64>,
}

/// When and where a stage or an evaluation was worked on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct TimesView {
    /// Of the last attempt; empty where it was not recorded.
    pub(crate) worker_name: String,
    /// Of the first attempt, in milliseconds since 1970.
    pub(crate) started_at_ms: Option<u64>,
    /// Of the last attempt, in milliseconds since 1970; `null` while one runs.
    pub(crate) ended_at_ms: Option<u64>,
    /// Of all attempts; one that runs counts up to now while its worker is connected.
    pub(crate) device_seconds: f64,
}

impl From<&v1::StageStatus> for TimesView {
    fn from(status: &v1::StageStatus) -> Self {
        Self {
            worker_name: status.worker_name.clone(),
            started_at_ms: status.started_at_ms,
            ended_at_ms: status.ended_at_ms,
            device_seconds: status.device_ms as f64 / 1e3,
        }
    }
}

/// The words for the states of stages, evaluations and trials: rows, counts and JSON all use these.
pub(super) mod words {
    pub(crate) const WAITING: &str = "waiting";
    pub(crate) const RUNNING: &str = "running";
    pub(crate) const COMPLETED: &str = "completed";
    pub(crate) const DIVERGED: &str = "diverged";
    pub(crate) const GIVEN_UP: &str = "given up";
    pub(crate) const NOT_RUN: &str = "not run";
    pub(crate) const PRUNED: &str = "pruned";
    pub(crate) const OPEN: &str = "open";
}

/// The state of a stage or evaluation as a word.
pub(super) fn phase(phase: v1::StagePhase) -> &'static str {
    match phase {
        v1::StagePhase::Unspecified => "unknown",
        v1::StagePhase::Waiting => words::WAITING,
        v1::StagePhase::Running => words::RUNNING,
        v1::StagePhase::Completed => words::COMPLETED,
        v1::StagePhase::Diverged => words::DIVERGED,
        v1::StagePhase::Failed => words::GIVEN_UP,
        v1::StagePhase::NotRun => words::NOT_RUN,
    }
}

impl StageView {
    /// The stages of a plan with their states, in the plan's order.
    pub(crate) fn all(plan: &Plan, statuses: &[v1::StageStatus]) -> Vec<Self> {
        let mut trials: BTreeMap<StageKey, Vec<usize>> = BTreeMap::new();
        for (index, trial) in plan.trials.iter().enumerate() {
            for key in &trial.path {
                trials.entry(*key).or_default().push(index);
            }
        }
        let of = |stage: &Stage| trials.get(&stage.key).map_or(&[][..], Vec::as_slice);
        plan.stages.iter().zip(statuses).map(|(stage, status)| Self::new(plan, of(stage), stage, status)).collect()
    }

    fn new(plan: &Plan, trials: &[usize], stage: &Stage, status: &v1::StageStatus) -> Self {
        // A result that this version cannot read is shown as none.
        let result = status.result.clone().and_then(|result| Measurements::try_from(result).ok()).unwrap_or_default();
        let mut arms: Vec<String> = trials.iter().filter_map(|index| plan.trials[*index].arm.clone()).collect();
        arms.sort();
        arms.dedup();
        let mut settings = trials.first().map(|index| plan.trials[*index].settings.clone()).unwrap_or_default();
        settings.retain(|key, value| trials.iter().all(|index| plan.trials[*index].settings.get(key) == Some(value)));
        Self {
            key: stage.key.to_string(),
            parent: stage.parent,
            size: stage.size.clone(),
            seed: stage.seed,
            peak_lr: stage.spec.peak_lr,
            batch_tokens: stage.spec.batch.tokens(),
            arms,
            trials: trials.iter().map(|index| index + 1).collect(),
            settings,
            role: stage.role.name(),
            start_step: stage.spec.steps.start,
            end_step: stage.spec.steps.end,
            surgery: stage.spec.start.surgery.iter().map(Surgery::name).collect(),
            objective: Some(&stage.spec.objective).filter(|objective| !objective.is_default()).map(ToString::to_string),
            phase: phase(status.phase()),
            attempt: status.attempt,
            worker: status.worker.clone(),
            times: status.into(),
            committed_step: status.committed_step,
            step: status.step,
            validation_loss: result.get(VALIDATION_LOSS),
            validation_loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE),
            measurements: others(&result),
            reason: status.reason.clone(),
            damaged_checkpoints: status.damaged_checkpoints.clone(),
        }
    }

    /// What is said of it besides its state.
    pub(super) fn remark(&self) -> String {
        let lost = self.damaged_checkpoints.iter().map(|step| format!("its checkpoint at step {step} was lost"));
        let reason = Some(self.reason.clone()).filter(|reason| !reason.is_empty());
        let surgery = (!self.surgery.is_empty()).then(|| format!("after {}", self.surgery.join(", ")));
        let objective = self.objective.as_ref().map(|objective| format!("minimises {objective}"));
        surgery.into_iter().chain(objective).chain(reason).chain(lost).collect::<Vec<_>>().join("; ")
    }

    /// Its state, and how far it is while it runs.
    pub(super) fn state(&self) -> String {
        let done = self.step.unwrap_or(self.start_step).clamp(self.start_step, self.end_step) - self.start_step;
        match (self.phase, self.end_step - self.start_step) {
            (words::RUNNING, steps @ 1..) => format!("{} {:.0}%", self.phase, 100.0 * done as f64 / steps as f64),
            (phase, _) => phase.to_owned(),
        }
    }
}
