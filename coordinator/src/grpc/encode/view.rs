//! How things stand.

use proto::convert::{sent_plan, sent_rows};
use proto::v1;
use scheduler::{CampaignPhase, Hold, PlannedEvaluations, StageCounts, Unevaluable};
use vocabulary::{Rows, StageKey, Work};

use super::{count, curve_point};
use crate::api::views::{
    CampaignDetail, CampaignUpdate, CampaignView, StagePhase, StageView, TrialEnd, TrialOutcome, WorkerView,
};
use crate::api::{Collection, CurveRun, Evaluated, Forgotten};
use crate::driver::from_worker::Progress;
use crate::driver::input::{Cancelled, Retried};
use crate::driver::view::CheckpointStatus;
use crate::orphans::Orphan;

pub(crate) fn summary(campaign: &CampaignView) -> v1::CampaignSummary {
    let CampaignView {
        status,
        description,
        submitted_at_ms,
        tokens,
        tokens_done,
        has_evaluations,
        damaged_checkpoints,
        left,
    } = campaign;
    let trials = status.trials;
    let phase = phase(status.phase);
    v1::CampaignSummary {
        campaign: status.campaign.to_string(),
        name: status.name.clone(),
        description: description.clone(),
        phase: phase.into(),
        stages: Some(counts(&status.stages)),
        trials: Some(v1::TrialCounts {
            open: count(trials.open),
            completed: count(trials.completed),
            diverged: count(trials.diverged),
            failed: count(trials.failed),
            pruned: count(trials.pruned),
        }),
        submitted_at_ms: *submitted_at_ms,
        tokens: tokens.0,
        tokens_done: tokens_done.0,
        damaged_checkpoints: count(*damaged_checkpoints),
        evaluations: has_evaluations.then(|| counts(&status.evaluations)),
        left_ms: left.map(|left| (left.seconds * 1e3) as u64),
        left_at_least: left.is_some_and(|left| left.at_least),
    }
}

fn phase(phase: CampaignPhase) -> v1::CampaignPhase {
    match phase {
        CampaignPhase::Open => v1::CampaignPhase::Open,
        CampaignPhase::Ended => v1::CampaignPhase::Ended,
        CampaignPhase::Cancelled => v1::CampaignPhase::Cancelled,
    }
}

pub(crate) fn cancelled(cancelled: Cancelled) -> v1::CancelCampaignResponse {
    let Cancelled { campaign, name, was, evaluations } = cancelled;
    let evaluations = count(evaluations);
    v1::CancelCampaignResponse { campaign: campaign.to_string(), name, was: phase(was).into(), evaluations }
}

pub(crate) fn retried(retried: Retried) -> v1::RetryCampaignResponse {
    let Retried { campaign, name, stages, diverged } = retried;
    let stage = |(key, size): (StageKey, String)| v1::RetriedStage { key: key.to_string(), size };
    v1::RetryCampaignResponse {
        campaign: campaign.to_string(),
        name,
        retried: stages.into_iter().map(stage).collect(),
        diverged: count(diverged),
    }
}

fn counts(counts: &StageCounts) -> v1::StageCounts {
    v1::StageCounts {
        waiting: count(counts.waiting),
        running: count(counts.running),
        completed: count(counts.completed),
        diverged: count(counts.diverged),
        failed: count(counts.failed),
        not_run: count(counts.not_run),
    }
}

pub(crate) fn detail(detail: CampaignDetail) -> v1::CampaignDetail {
    let CampaignDetail { summary: campaign, plan, stages, evaluations, recipe } = detail;
    let (recipe_file, recipe_text) = recipe.map(|recipe| (recipe.file, recipe.text)).unwrap_or_default();
    v1::CampaignDetail {
        summary: Some(summary(&campaign)),
        stages: stages.into_iter().map(stage).collect(),
        evaluations: evaluations.into_iter().map(stage).collect(),
        recipe_file,
        recipe_text,
        plan_json: sent_plan(&plan),
    }
}

fn stage(stage: StageView) -> v1::StageStatus {
    let phase = match stage.phase {
        StagePhase::Waiting => v1::StagePhase::Waiting,
        StagePhase::Running => v1::StagePhase::Running,
        StagePhase::Completed => v1::StagePhase::Completed,
        StagePhase::Diverged => v1::StagePhase::Diverged,
        StagePhase::Failed => v1::StagePhase::Failed,
        StagePhase::NotRun => v1::StagePhase::NotRun,
    };
    let times = stage.times;
    v1::StageStatus {
        key: stage.key.to_string(),
        phase: phase.into(),
        attempt: Some(stage.attempts).filter(|attempts| *attempts > 0),
        worker: stage.worker.map(|worker| worker.to_string()),
        committed_step: stage.committed_step,
        result: stage.result.as_ref().map(Into::into),
        reason: stage.reason,
        damaged_checkpoints: stage.damaged_checkpoints,
        started_at_ms: times.as_ref().map(|times| times.started_at_ms),
        ended_at_ms: times.as_ref().and_then(|times| times.ended_at_ms),
        device_ms: times.as_ref().map_or(0, |times| times.device_ms),
        worker_name: times.map(|times| times.worker_name).unwrap_or_default(),
        step: stage.step,
    }
}

pub(crate) fn outcome(outcome: &TrialOutcome) -> v1::TrialResult {
    let end = match outcome.end {
        TrialEnd::Completed => v1::TrialEnd::Completed,
        TrialEnd::Pruned => v1::TrialEnd::Pruned,
        TrialEnd::Diverged => v1::TrialEnd::Diverged,
    };
    v1::TrialResult {
        trial: outcome.trial.to_string(),
        stage: outcome.stage.to_string(),
        result: outcome.result.as_ref().map(Into::into),
        end: end.into(),
        step: outcome.step,
    }
}

pub(crate) fn update(update: CampaignUpdate) -> v1::CampaignUpdate {
    v1::CampaignUpdate {
        summary: Some(summary(&update.campaign)),
        workers: update.workers.iter().map(worker).collect(),
    }
}

pub(crate) fn worker(worker: &WorkerView) -> v1::WorkerStatus {
    v1::WorkerStatus {
        worker: worker.worker.to_string(),
        name: worker.name.clone(),
        device: worker.device.clone(),
        connected: worker.is_connected,
        progress: worker.progress.as_ref().map(progress),
        stage: worker.work.as_ref().and_then(Work::stage).map(Into::into),
        evaluation: worker.work.as_ref().and_then(Work::evaluation).map(Into::into),
        held_back: worker.held_back.clone().unwrap_or_default(),
        held_back_ms: worker.held_back_for.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)),
        place: Some((&worker.place).into()),
        known_ms: u64::try_from(worker.known_for.as_millis()).unwrap_or(u64::MAX),
    }
}

fn progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        attempt: Some(progress.key.into()),
        latest: progress.latest.as_ref().map(curve_point),
        tokens_per_second: progress.tokens_per_second,
        phase: progress.quiet.as_ref().map(|quiet| quiet.phase.clone()).unwrap_or_default(),
        quiet_ms: progress.quiet.as_ref().map_or(0, |quiet| u64::try_from(quiet.lasts.as_millis()).unwrap_or(u64::MAX)),
    }
}

pub(crate) fn evaluated(evaluated: Evaluated) -> v1::EvaluateCampaignResponse {
    let Evaluated { campaign_name, planned } = evaluated;
    let PlannedEvaluations { growth, known, known_done, unevaluable } = planned;
    let refused =
        |(stage, why): (StageKey, Unevaluable)| v1::Unevaluable { stage: stage.to_string(), reason: why.to_string() };
    v1::EvaluateCampaignResponse {
        campaign: growth.campaign.to_string(),
        campaign_name,
        added: growth.evaluations.iter().map(Into::into).collect(),
        known: count(known),
        known_done: count(known_done),
        unevaluable: unevaluable.into_iter().map(refused).collect(),
    }
}

pub(crate) fn curve_run(run: CurveRun) -> v1::StageCurve {
    v1::StageCurve { stage: run.stage.to_string(), points: run.points.iter().map(curve_point).collect() }
}

pub(crate) fn rows((stage, rows): (StageKey, Rows)) -> v1::ResultRows {
    v1::ResultRows { stage: stage.to_string(), rows: sent_rows(&rows) }
}

pub(crate) fn collection(collection: Collection) -> v1::CollectCheckpointsResponse {
    let bytes = collection.bytes();
    let Collection { checkpoints, orphans } = collection;
    v1::CollectCheckpointsResponse {
        checkpoints: checkpoints.iter().map(status).collect(),
        orphans: orphans.into_iter().map(|Orphan { path, bytes }| v1::OrphanedFile { path, bytes }).collect(),
        bytes,
    }
}

pub(crate) fn forgotten(forgotten: Forgotten) -> v1::ForgetCampaignResponse {
    let Forgotten { campaign, name, stages, shared, checkpoints, bytes, datasets } = forgotten;
    v1::ForgetCampaignResponse {
        campaign: campaign.to_string(),
        name,
        stages: count(stages),
        shared: count(shared),
        checkpoints: count(checkpoints),
        bytes,
        datasets: datasets.iter().map(ToString::to_string).collect(),
    }
}

/// A committed checkpoint, and why it stays.
pub(crate) fn status(status: &CheckpointStatus) -> v1::CommittedCheckpoint {
    let CheckpointStatus { checkpoint, hold } = status;
    let hold = match hold {
        None => v1::CheckpointHold::Unspecified,
        Some(Hold::BranchPoint) => v1::CheckpointHold::BranchPoint,
        Some(Hold::Result) => v1::CheckpointHold::Result,
        Some(Hold::Newest) => v1::CheckpointHold::Newest,
        Some(Hold::Evaluation) => v1::CheckpointHold::Evaluation,
    };
    v1::CommittedCheckpoint {
        stage: checkpoint.stage.to_string(),
        step: checkpoint.step,
        attempt: checkpoint.attempt.0,
        bytes: checkpoint.bytes,
        committed_at_ms: checkpoint.committed_at_ms,
        hold: hold.into(),
    }
}
