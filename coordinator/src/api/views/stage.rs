//! Stages.

use std::collections::BTreeMap;

use scheduler::{StageState, WaitReason, Waits};
use vocabulary::{AttemptKey, Measurements, StageKey, WorkerId};

use crate::api::words;
use crate::driver::view::View;
use crate::store::AttemptRow;

/// A stage, and why it is where it is.
#[derive(Debug, Clone)]
pub(crate) struct StageView {
    pub(crate) key: StageKey,
    pub(crate) phase: StagePhase,
    /// How often it was handed out.
    pub(crate) attempts: u32,
    /// Who trains it.
    pub(crate) worker: Option<WorkerId>,
    /// Whether that worker has a connection now.
    pub(crate) is_connected: bool,
    /// Steps done, counted from the root, by what its worker says; else as of its latest committed checkpoint.
    pub(crate) step: Option<u64>,
    /// When and by whom it was trained; `None` before its first attempt. Filled in later, because the view does not hold it.
    pub(crate) times: Option<StageTimes>,
    /// Steps done at its latest committed checkpoint, counted from the root.
    pub(crate) committed_step: Option<u64>,
    pub(crate) result: Option<Measurements>,
    /// A sentence; empty where the phase says it all.
    pub(crate) reason: String,
    /// Steps of committed checkpoints that were found damaged or gone.
    pub(crate) damaged_checkpoints: Vec<u64>,
}

/// When a stage was trained, by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageTimes {
    /// When its first attempt started, in milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// When its last attempt ended; `None` while one runs.
    pub(crate) ended_at_ms: Option<u64>,
    /// How long its attempts took together.
    pub(crate) device_ms: u64,
    /// The name of the worker of its last attempt.
    pub(crate) worker_name: String,
}

impl StageTimes {
    /// The times of stages by their attempts, which are in order. One that has not ended counts until `now_ms` if its worker is
    /// connected by what `is_connected` says of the stage: without a worker it may have ended long ago.
    pub(crate) fn of(
        attempts: Vec<AttemptRow>,
        now_ms: u64,
        is_connected: impl Fn(&StageKey) -> bool,
    ) -> BTreeMap<StageKey, Self> {
        let mut times: BTreeMap<StageKey, Self> = BTreeMap::new();
        for AttemptRow { key, worker_name, started_at_ms, ended_at_ms } in attempts {
            let nothing = Self { started_at_ms, ended_at_ms: None, device_ms: 0, worker_name: String::new() };
            let known = times.entry(key.stage).or_insert(nothing);
            let until = ended_at_ms.or_else(|| is_connected(&key.stage).then_some(now_ms));
            known.device_ms += until.unwrap_or(started_at_ms).saturating_sub(started_at_ms);
            known.ended_at_ms = ended_at_ms;
            known.worker_name = worker_name;
        }
        times
    }
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
        let (mut worker, mut result, mut step) = (None, None, status.checkpoint);
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
                let latest = view.progress(&by, attempt).and_then(|progress| progress.latest.as_ref());
                step = latest.map(|latest| latest.step.saturating_add(1)).max(step);
                let unread = view.trouble(&by, attempt).map(words::unread_checkpoint);
                let quiet = || words::quiet(view.progress(&by, attempt)?.quiet.as_ref()?);
                let away = || (!view.is_connected(&by)).then(words::worker_away);
                reason = unread.or_else(quiet).or_else(away).unwrap_or_default();
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
            is_connected: worker.is_some_and(|worker| view.is_connected(&worker)),
            worker,
            step,
            times: None,
            committed_step: status.checkpoint,
            result,
            reason,
            damaged_checkpoints: view.scheduler.ledger().damaged_checkpoints(&key).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::Attempt;

    use super::*;

    #[test]
    fn the_time_of_a_stage_is_that_of_all_its_attempts() {
        let stage = StageKey::from_content(b"a stage");
        let row = |attempt, name: &str, started_at_ms, ended_at_ms| AttemptRow {
            key: AttemptKey { stage, attempt: Attempt(attempt) },
            worker_name: name.to_owned(),
            started_at_ms,
            ended_at_ms,
        };
        let attempts = vec![row(1, "a", 1000, Some(1500)), row(2, "b", 9000, None)];
        let expected = |device_ms| {
            let times = StageTimes { started_at_ms: 1000, ended_at_ms: None, device_ms, worker_name: "b".to_owned() };
            BTreeMap::from([(stage, times)])
        };
        assert_eq!(StageTimes::of(attempts.clone(), 10_000, |_| true), expected(1500));
        assert_eq!(StageTimes::of(attempts, 10_000, |_| false), expected(500), "nobody knows when it ended");
    }
}
