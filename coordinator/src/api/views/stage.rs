//! Stages.

use scheduler::{StageState, WaitReason, Waits};
use vocabulary::{AttemptKey, Measurements, StageKey, WorkerId};

use crate::api::words;
use crate::driver::view::View;

/// A stage, and why it is where it is.
#[derive(Debug, Clone)]
pub(crate) struct StageView {
    pub(crate) key: StageKey,
    pub(crate) phase: StagePhase,
    /// How often it was handed out.
    pub(crate) attempts: u32,
    /// Who trains it.
    pub(crate) worker: Option<WorkerId>,
    /// Steps done at its latest committed checkpoint, counted from the root.
    pub(crate) committed_step: Option<u64>,
    pub(crate) result: Option<Measurements>,
    /// A sentence; empty where the phase says it all.
    pub(crate) reason: String,
    /// Steps of committed checkpoints that were found damaged or gone.
    pub(crate) damaged_checkpoints: Vec<u64>,
}

/// What has become of a stage. One that waits and was cancelled counts as not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StagePhase {
    Waiting,
    Running,
    Completed,
    Diverged,
    Failed,
    NotRun,
}

impl StageView {
    pub(crate) fn of(view: &View, waits: &Waits<'_>, key: StageKey, is_cancelled: bool) -> Option<Self> {
        let status = waits.stage_status(&key)?;
        let mut reason = words::stage_reason(&status, is_cancelled);
        let (mut worker, mut result) = (None, None);
        let phase = match status.state {
            StageState::Waiting if is_cancelled => StagePhase::NotRun,
            StageState::Waiting => {
                if status.waits == Some(WaitReason::NoWorkers) {
                    reason.extend(view.pools_gone().iter().map(|gone| format!("; {gone}")));
                }
                StagePhase::Waiting
            }
            StageState::Running { worker: by, attempt } => {
                worker = Some(by);
                let attempt = AttemptKey { stage: key, attempt };
                let unread = view.trouble(&by, attempt).map(words::unread_checkpoint);
                let quiet = || words::quiet(view.progress(&by, attempt)?.quiet.as_ref()?);
                reason = unread.or_else(quiet).unwrap_or_default();
                StagePhase::Running
            }
            StageState::Completed { result: came_out, .. } => {
                result = Some(came_out);
                StagePhase::Completed
            }
            StageState::Diverged { .. } => StagePhase::Diverged,
            StageState::Failed { .. } => StagePhase::Failed,
            StageState::NotRun { .. } => StagePhase::NotRun,
        };
        Some(Self {
            key,
            phase,
            attempts: status.attempts,
            worker,
            committed_step: status.checkpoint,
            result,
            reason,
            damaged_checkpoints: view.scheduler.ledger().damaged_checkpoints(&key).collect(),
        })
    }
}
