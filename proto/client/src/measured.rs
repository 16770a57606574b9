//! What a report is made from, put together from what a coordinator says.

use std::collections::BTreeMap;

use proto::convert::id;
use proto::v1::{CampaignSummary, CurvePoint, TrialResult};
use proto::{ConvertError, v1};
use report::forecast::{NoTree, SizeTree};
use vocabulary::StageKey;

use crate::{CallError, Campaigns, Detail};

/// A campaign's measurements.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its counts.
    pub summary: CampaignSummary,
    /// What a report is made from.
    pub campaign: report::Campaign,
    /// Losses on held-out text at the ends of stages, those of trunks too.
    pub held_out: BTreeMap<StageKey, f64>,
}

impl Measured {
    /// Fetches all that is measured of a campaign, finished or not. `program` is what the report says made it, for example
    /// `windtunnel 0.1.0`.
    ///
    /// # Errors
    /// Where the coordinator does not answer, or knows no such campaign.
    pub async fn fetch(campaigns: &mut Campaigns, campaign: &str, program: &str) -> Result<Self, CallError> {
        let detail = campaigns.detail(campaign).await?;
        // By its identifier from here on: the name may come to mean another campaign in between.
        let results = campaigns.results(&detail.summary.campaign).await?;
        let curves = campaigns.curves(&detail.summary.campaign, &[]).await?;
        let unexpected = |source| CallError::Unexpected { url: campaigns.url().to_owned(), source };
        Self::of(detail, &results, curves, program).map_err(unexpected)
    }

    /// Puts together what a coordinator said: a campaign with its plan, how its trials ended, and the curves of its stages by
    /// the printed form of their keys.
    ///
    /// # Errors
    /// Where it names a stage or a trial that is none.
    pub fn of(
        detail: Detail,
        results: &[TrialResult],
        curves: BTreeMap<String, Vec<CurvePoint>>,
        program: &str,
    ) -> Result<Self, ConvertError> {
        let Detail { summary, plan, stages, recipe_file, recipe_text } = detail;
        let (early, whole): (Vec<_>, Vec<_>) = results.iter().partition(|result| is_early(result));
        let losses = whole.into_iter().filter_map(|result| final_loss(result).transpose());
        let early = early.into_iter().map(early_end);
        let mut dynamics = BTreeMap::new();
        let curve = |(stage, points): (String, Vec<CurvePoint>)| {
            let stage = id("stage", &stage)?;
            let recorded: Vec<report::DynamicsPoint> = points.iter().filter_map(dynamics_point).collect();
            if !recorded.is_empty() {
                dynamics.insert(stage, recorded);
            }
            Ok((stage, points.into_iter().map(curve_point).collect()))
        };
        let curves = curves.into_iter().map(curve).collect::<Result<_, ConvertError>>()?;
        let campaign = report::Campaign {
            plan,
            losses: losses.collect::<Result<_, _>>()?,
            early: early.collect::<Result<_, _>>()?,
            curves,
            dynamics,
            recipe_file,
            recipe_text,
            program: program.to_owned(),
        };
        let held_out = stages.iter().filter_map(|stage| {
            let loss = stage.result.as_ref()?.validation_loss?;
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

/// A trial without a loss on held-out text has none, rather than one of zero.
fn final_loss(result: &TrialResult) -> Result<Option<(vocabulary::TrialId, report::FinalLoss)>, ConvertError> {
    let Some(v1::StageResult { validation_loss: Some(per_token), validation_loss_per_byte: per_byte, sets }) =
        &result.result
    else {
        return Ok(None);
    };
    let sets = proto::convert::sets(sets)?;
    Ok(Some((id("trial", &result.trial)?, report::FinalLoss { per_token: *per_token, per_byte: *per_byte, sets })))
}

fn is_early(result: &TrialResult) -> bool {
    match result.end() {
        v1::TrialEnd::Pruned | v1::TrialEnd::Diverged => true,
        v1::TrialEnd::Completed | v1::TrialEnd::Unspecified => false,
    }
}

fn early_end(result: &TrialResult) -> Result<(vocabulary::TrialId, report::EarlyEnd), ConvertError> {
    let loss = final_loss(result)?.map(|(_, loss)| loss);
    Ok((id("trial", &result.trial)?, report::EarlyEnd { step: result.step, loss }))
}

fn curve_point(point: CurvePoint) -> report::CurvePoint {
    report::CurvePoint { step: point.step, loss: point.loss }
}

/// What a point says beside its loss, where its stage records.
fn dynamics_point(point: &CurvePoint) -> Option<report::DynamicsPoint> {
    let CurvePoint { step, grad_norm, learning_rate, ref dynamics, .. } = *point;
    Some(report::DynamicsPoint { step, learning_rate, grad_norm, dynamics: dynamics.as_ref()?.into() })
}
