//! From the driver's messages and views to the wire.

use proto::convert::sent_sets;
use proto::v1::coordinator_message::Body;
use proto::v1::{self, CoordinatorMessage};
use recipes::search;
use scheduler::{CampaignPhase, DeadEnd, StageResult, StageState, StageStatus};
use vocabulary::StageKey;

use crate::driver::from_worker::Progress;
use crate::driver::interruptions::Cadence;
use crate::driver::to_worker::{Assignment, ToWorker};
use crate::driver::view::{CampaignView, View, WorkerView};
use crate::store::{CommittedCheckpoint, CurvePoint};

/// A message to a worker.
pub(crate) fn to_worker(message: ToWorker) -> CoordinatorMessage {
    let body = match message {
        ToWorker::Welcome { heartbeat_interval, lease_duration, storage } => Body::Welcome(v1::Welcome {
            heartbeat_interval_ms: milliseconds(heartbeat_interval),
            lease_duration_ms: milliseconds(lease_duration),
            storage,
        }),
        ToWorker::Assignment(assigned) => Body::Assignment(assignment(&assigned)),
        ToWorker::Acknowledgement { sequence } => Body::Acknowledgement(v1::Acknowledgement { sequence }),
        ToWorker::Revocation { stage, attempt } => {
            Body::Revocation(v1::Revocation { attempt: Some((stage, attempt).into()) })
        }
        ToWorker::Refusal { stage, attempt } => Body::Refusal(v1::Refusal { attempt: Some((stage, attempt).into()) }),
    };
    CoordinatorMessage { body: Some(body) }
}

fn assignment(assignment: &Assignment) -> v1::Assignment {
    let Assignment { stage, attempt, start, cadence } = assignment;
    let Cadence { min_interval, max_interval, mean_time_between_interruptions } = *cadence;
    v1::Assignment {
        attempt: Some((stage.key, *attempt).into()),
        stage: Some(stage.into()),
        start: start.as_ref().map(checkpoint),
        cadence: Some(v1::Cadence {
            min_interval_ms: milliseconds(min_interval),
            max_interval_ms: milliseconds(max_interval),
            mean_time_between_losses_ms: milliseconds(mean_time_between_interruptions),
        }),
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn checkpoint(checkpoint: &CommittedCheckpoint) -> v1::CheckpointRef {
    v1::CheckpointRef {
        stage: checkpoint.stage.to_string(),
        step: checkpoint.step,
        manifest_path: checkpoint.manifest_path.clone(),
        manifest_hash: checkpoint.manifest_hash.clone(),
    }
}

pub(crate) fn curve_point(point: &CurvePoint) -> v1::CurvePoint {
    let CurvePoint { step, loss, grad_norm, learning_rate, ref dynamics } = *point;
    v1::CurvePoint { step, loss, grad_norm, learning_rate, dynamics: dynamics.as_ref().map(Into::into) }
}

pub(crate) fn campaign(campaign: &CampaignView<'_>) -> v1::CampaignSummary {
    let stages = campaign.status.stages;
    let trials = campaign.status.trials;
    let phase = match campaign.status.phase {
        CampaignPhase::Open => v1::CampaignPhase::Open,
        CampaignPhase::Ended => v1::CampaignPhase::Ended,
        CampaignPhase::Cancelled => v1::CampaignPhase::Cancelled,
    };
    v1::CampaignSummary {
        campaign: campaign.status.campaign.to_string(),
        name: campaign.status.name.clone(),
        description: campaign.plan.description.clone(),
        phase: phase.into(),
        stages: Some(v1::StageCounts {
            waiting: count(stages.waiting),
            running: count(stages.running),
            completed: count(stages.completed),
            diverged: count(stages.diverged),
            failed: count(stages.failed),
            not_run: count(stages.not_run),
        }),
        trials: Some(v1::TrialCounts {
            open: count(trials.open),
            completed: count(trials.completed),
            diverged: count(trials.diverged),
            failed: count(trials.failed),
            pruned: count(trials.pruned),
        }),
        submitted_at_ms: campaign.submitted_at_ms,
        tokens: campaign.tokens.0,
        tokens_done: campaign.tokens_done.0,
        damaged_checkpoints: count(campaign.damaged_checkpoints),
    }
}

pub(crate) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A campaign with its plan and the state of each stage; the recipe is added by whoever has it.
pub(crate) fn detail(view: &View<'_>, shown: &CampaignView<'_>) -> v1::CampaignDetail {
    let is_cancelled = shown.status.phase == CampaignPhase::Cancelled;
    let stages = shown.plan.stages.iter().filter_map(|stage| {
        let status = view.stage(&stage.key)?;
        Some(stage_status(view, stage.key, &status, is_cancelled))
    });
    v1::CampaignDetail {
        summary: Some(campaign(shown)),
        plan: Some(shown.plan.into()),
        stages: stages.collect(),
        recipe_file: String::new(),
        recipe_text: String::new(),
    }
}

fn stage_status(view: &View<'_>, key: StageKey, status: &StageStatus, is_cancelled: bool) -> v1::StageStatus {
    let last_end = status.last_end.as_ref();
    let (phase, reason) = match &status.state {
        StageState::Waiting if is_cancelled => (v1::StagePhase::NotRun, "the campaign was cancelled".to_owned()),
        StageState::Waiting => {
            let waits = status.waits.as_ref().map(ToString::to_string);
            let last = last_end.map(|end| format!("last attempt: {end}"));
            (v1::StagePhase::Waiting, [waits, last].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        StageState::Running { .. } => (v1::StagePhase::Running, String::new()),
        StageState::Completed { .. } => (v1::StagePhase::Completed, String::new()),
        StageState::Diverged { step, loss, .. } => {
            let loss = loss.map_or_else(|| "no number".to_owned(), |loss| loss.to_string());
            (v1::StagePhase::Diverged, format!("the loss was {loss} at step {step}"))
        }
        StageState::Failed { limit } => {
            let last = last_end.map(|end| format!(", the last: {end}")).unwrap_or_default();
            (v1::StagePhase::Failed, format!("given up after {} attempts ({limit}){last}", status.attempts))
        }
        StageState::NotRun { ancestor, because } => {
            let because = match because {
                scheduler::DeadEnd::Diverged => "diverged",
                scheduler::DeadEnd::Failed => "was given up",
            };
            (v1::StagePhase::NotRun, format!("it starts from {}, which {because}", ancestor.short()))
        }
    };
    let (worker, result) = match &status.state {
        StageState::Running { worker, .. } => (Some(worker.to_string()), None),
        StageState::Completed { result, .. } => (None, Some(stage_result(result))),
        _ => (None, None),
    };
    v1::StageStatus {
        key: key.to_string(),
        phase: phase.into(),
        attempt: Some(status.attempts).filter(|attempts| *attempts > 0),
        worker,
        committed_step: status.checkpoint,
        result,
        reason,
        damaged_checkpoints: view.damaged_checkpoints(&key).collect(),
    }
}

fn stage_result(result: &StageResult) -> v1::StageResult {
    v1::StageResult {
        validation_loss: result.validation_loss,
        validation_loss_per_byte: result.validation_loss_per_byte,
        sets: sent_sets(&result.sets),
    }
}

/// The trials of a campaign that ended with a loss, or because theirs left all bounds, in the plan's order.
pub(crate) fn results(view: &View<'_>, shown: &CampaignView<'_>) -> Vec<v1::TrialResult> {
    let searched = view.scheduler.ledger().search_progress(&shown.plan.campaign);
    let standings = searched.iter().flat_map(|progress| &progress.standings);
    let pruned: Vec<bool> =
        standings.map(|standing| matches!(standing.end, Some(search::TrialEnd::Pruned { .. }))).collect();
    let result = |(index, trial): (usize, &vocabulary::Trial)| {
        let key = trial.last_stage();
        let is_pruned = pruned.get(index).copied().unwrap_or_default();
        let (stage, result, end, step) = match &view.stage(key)?.state {
            // What a search has not decided on yet has not ended.
            StageState::Completed { .. } if !is_pruned && !shown.plan.is_whole(trial) => return None,
            StageState::Completed { result, .. } => {
                let end = if is_pruned { v1::TrialEnd::Pruned } else { v1::TrialEnd::Completed };
                (*key, Some(stage_result(result)), end, view.scheduler.stage(key)?.spec.end_step)
            }
            StageState::Diverged { step, .. } => (*key, None, v1::TrialEnd::Diverged, *step + 1),
            StageState::NotRun { ancestor, because: DeadEnd::Diverged } => {
                let StageState::Diverged { step, .. } = &view.stage(ancestor)?.state else { return None };
                (*ancestor, None, v1::TrialEnd::Diverged, *step + 1)
            }
            _ => return None,
        };
        Some(v1::TrialResult { trial: trial.id.to_string(), stage: stage.to_string(), result, end: end.into(), step })
    };
    shown.plan.trials.iter().enumerate().filter_map(result).collect()
}

pub(crate) fn worker(worker: &WorkerView<'_>) -> v1::WorkerStatus {
    v1::WorkerStatus {
        worker: worker.worker.to_string(),
        name: worker.name.clone(),
        device: worker.device.clone(),
        connected: worker.is_connected,
        progress: worker.progress.as_ref().map(progress),
        stage: worker.stage.map(Into::into),
    }
}

fn progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        attempt: Some((progress.stage, progress.attempt).into()),
        latest: progress.latest.as_ref().map(curve_point),
        tokens_per_second: progress.tokens_per_second,
    }
}
