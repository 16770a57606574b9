//! Assembles the input of a report from a coordinator's answers.

use std::collections::BTreeMap;

use proto::convert::id;
use proto::v1::{CampaignSummary, CurvePoint, TrialResult};
use proto::{ConvertError, v1};
use report::forecast::{NoTree, SizeTree};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Measurements, StageKey, TrialId};

use crate::{CallError, Campaigns, Detail};

/// The measurements of a campaign.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its counts.
    pub summary: CampaignSummary,
    /// The input of a report.
    pub campaign: report::Campaign,
    /// Held-out losses at the ends of stages, including trunks.
    pub held_out: BTreeMap<StageKey, f64>,
}

impl Measured {
    /// Fetches all measurements of a campaign, running or finished. `program` is named in the report, for example
    /// `windtunnel 0.1.0`.
    ///
    /// # Errors
    /// The coordinator does not answer or does not know the campaign.
    pub async fn fetch(campaigns: &mut Campaigns, campaign: &str, program: &str) -> Result<Self, CallError> {
        let detail = campaigns.detail(campaign).await?;
        // By identifier from here on: the name may refer to another campaign by the next call.
        let results = campaigns.results(&detail.summary.campaign).await?;
        let curves = campaigns.curves(&detail.summary.campaign, &[]).await?;
        let rows = campaigns.rows(&detail.summary.campaign).await?;
        let unexpected = |source| CallError::Unexpected { url: campaigns.url().to_owned(), source };
        Self::of(detail, &results, curves, rows, program).map_err(unexpected)
    }

    /// Assembles a campaign from its plan, the results of its trials, and curves and rows by printed stage key.
    ///
    /// # Errors
    /// A stage or trial identifier is invalid.
    pub fn of(
        detail: Detail,
        results: &[TrialResult],
        curves: BTreeMap<String, Vec<CurvePoint>>,
        rows: BTreeMap<String, Vec<v1::MeasurementRows>>,
        program: &str,
    ) -> Result<Self, ConvertError> {
        let Detail { summary, plan, stages, evaluations, recipe_file, recipe_text } = detail;
        let (early, whole): (Vec<_>, Vec<_>) = results.iter().partition(|result| is_early(result));
        let whole = whole.into_iter().filter_map(|result| measured(result).transpose());
        let early = early.into_iter().map(early_end);
        let mut dynamics = BTreeMap::new();
        let curve = |(stage, points): (String, Vec<CurvePoint>)| {
            let stage = id("stage", &stage)?;
            let recorded = points.iter().filter_map(|point| recorded(point).transpose());
            let recorded = recorded.collect::<Result<Vec<_>, _>>()?;
            if !recorded.is_empty() {
                dynamics.insert(stage, recorded);
            }
            Ok((stage, points.into_iter().map(curve_point).collect()))
        };
        let curves = curves.into_iter().map(curve).collect::<Result<_, ConvertError>>()?;
        let documents = |(stage, sent): (String, Vec<v1::MeasurementRows>)| {
            Ok((id("stage", &stage)?, proto::convert::rows("rows", sent)?))
        };
        let rows = rows.into_iter().map(documents).collect::<Result<_, ConvertError>>()?;
        let campaign = report::Campaign {
            plan,
            results: whole.collect::<Result<_, _>>()?,
            early: early.collect::<Result<_, _>>()?,
            evaluations: evaluations
                .iter()
                .filter_map(|status| evaluated(status).transpose())
                .collect::<Result<_, _>>()?,
            progress: progress(&summary, &stages, &evaluations)?,
            curves,
            rows,
            dynamics,
            recipe_file,
            recipe_text,
            program: program.to_owned(),
        };
        let held_out = stages.iter().filter_map(|stage| {
            let loss = stage.result.as_ref()?.get(VALIDATION_LOSS)?;
            Some(id("stage", &stage.key).map(|key| (key, loss)))
        });
        let held_out = held_out.collect::<Result<_, ConvertError>>()?;
        Ok(Self { summary, campaign, held_out })
    }

    /// Its trunks with their branches.
    #[must_use]
    pub fn trees(&self) -> Vec<Result<SizeTree, NoTree>> {
        SizeTree::all(&self.campaign, &self.held_out)
    }
}

/// A trial's result; `None` without a loss on held-out text.
fn measured(result: &TrialResult) -> Result<Option<(TrialId, Measurements)>, ConvertError> {
    let Some(measured) = result.result.clone() else { return Ok(None) };
    let measured = Measurements::try_from(measured).map_err(|error| error.within("result"))?;
    let trial = id("trial", &result.trial)?;
    Ok(measured.get(VALIDATION_LOSS).map(|_| (trial, measured)))
}

/// What an evaluation measured, where it is done.
fn evaluated(status: &v1::StageStatus) -> Result<Option<(StageKey, Measurements)>, ConvertError> {
    let Some(measured) = status.result.clone() else { return Ok(None) };
    let measured = Measurements::try_from(measured).map_err(|error| error.within("result"))?;
    Ok(Some((id("stage", &status.key)?, measured)))
}

/// How far the stages of a campaign have got.
fn progress(
    summary: &CampaignSummary,
    stages: &[v1::StageStatus],
    evaluations: &[v1::StageStatus],
) -> Result<report::Progress, ConvertError> {
    let all = || stages.iter().chain(evaluations);
    let started_at_ms = all().filter_map(|status| status.started_at_ms).min();
    let mut progress = report::Progress {
        tokens_trained: summary.tokens_done,
        device_ms: all().map(|status| status.device_ms).sum(),
        worked_at_ms: started_at_ms.zip(all().filter_map(|status| status.ended_at_ms).max()).map(<[u64; 2]>::from),
        ..report::Progress::default()
    };
    for stage in stages {
        let key = id("stage", &stage.key)?;
        let end = match stage.phase() {
            v1::StagePhase::Diverged => report::StageEnd::Diverged,
            v1::StagePhase::Failed => report::StageEnd::GivenUp,
            v1::StagePhase::NotRun => report::StageEnd::NotRun,
            v1::StagePhase::Completed => continue,
            v1::StagePhase::Waiting | v1::StagePhase::Running | v1::StagePhase::Unspecified => {
                progress.open.insert(key);
                continue;
            }
        };
        progress.ended.insert(key, end);
    }
    Ok(progress)
}

fn is_early(result: &TrialResult) -> bool {
    match result.end() {
        v1::TrialEnd::Pruned | v1::TrialEnd::Diverged => true,
        v1::TrialEnd::Completed | v1::TrialEnd::Unspecified => false,
    }
}

fn early_end(result: &TrialResult) -> Result<(TrialId, report::EarlyEnd), ConvertError> {
    let measured = measured(result)?.map(|(_, measured)| measured);
    Ok((id("trial", &result.trial)?, report::EarlyEnd { step: result.step, result: measured }))
}

fn curve_point(point: CurvePoint) -> report::CurvePoint {
    report::CurvePoint { step: point.step, loss: point.loss }
}

/// What a point says beside its loss, where its stage records.
fn recorded(point: &CurvePoint) -> Result<Option<report::DynamicsPoint>, ConvertError> {
    let CurvePoint { step, grad_norm, learning_rate, ref measurements, .. } = *point;
    let measurements = proto::convert::measurements("measurements", measurements.clone())?;
    let recorded = report::DynamicsPoint { step, learning_rate, grad_norm, measurements };
    Ok(Some(recorded).filter(|recorded| !recorded.measurements.is_empty()))
}
