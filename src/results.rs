//! From a campaign's measurements to its results: the fit, the files, and what is printed of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use proto::convert::id;
use proto::v1::{CampaignSummary, CurvePoint, TrialResult};
use proto::{ConvertError, v1};
use report::forecast::{NoTree, SizeTree};
use report::{AnalysisOptions, Conclusion, Files, FitFile, Measure};
use serde::Serialize;
use vocabulary::StageKey;

use crate::client::{CallError, Campaigns, Detail};
use crate::exit::OrBadInput;
use crate::output::View;

/// A campaign's measurements.
#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    summary: CampaignSummary,
    measured: report::Campaign,
    /// Losses on held-out text at the ends of stages, those of trunks too.
    held_out: BTreeMap<StageKey, f64>,
}

/// Where results are written.
pub(crate) fn out_dir(asked: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    match asked {
        Some(asked) => Ok(asked.to_owned()),
        // The name may be one that a coordinator says.
        None if recipes::recipe::is_plain_name(name) => Ok(Path::new("out").join(name)),
        None => Err(anyhow!("the campaign's name {name:?} cannot be that of a folder: give --out")),
    }
}

impl Campaign {
    /// Gets all that is measured of a campaign, finished or not.
    pub(crate) async fn fetch(campaigns: &mut Campaigns, campaign: &str) -> anyhow::Result<Self> {
        let Detail { summary, plan, stages, recipe_file, recipe_text } = campaigns.detail(campaign).await?;
        // By its identifier from here on: the name may come to mean another campaign in between.
        let results = campaigns.results(&summary.campaign).await?;
        let curves = campaigns.curves(&summary.campaign, &[]).await?;
        let unexpected = |source| CallError::Unexpected { url: campaigns.url().to_owned(), source };
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
        let curves = curves.into_iter().map(curve).collect::<Result<_, ConvertError>>().map_err(unexpected)?;
        let measured = report::Campaign {
            plan,
            losses: losses.collect::<Result<_, _>>().map_err(unexpected)?,
            early: early.collect::<Result<_, _>>().map_err(unexpected)?,
            curves,
            dynamics,
            recipe_file,
            recipe_text,
            program: concat!("windtunnel ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let held_out = stages.iter().filter_map(|stage| {
            let loss = stage.result.as_ref()?.validation_loss?;
            Some(id("stage", &stage.key).map(|key| (key, loss)))
        });
        let held_out = held_out.collect::<Result<_, ConvertError>>().map_err(unexpected)?;
        Ok(Self { summary, measured, held_out })
    }

    /// Its trunks with their branches.
    pub(crate) fn trees(&self) -> Vec<Result<SizeTree, NoTree>> {
        SizeTree::all(&self.measured, &self.held_out)
    }

    pub(crate) fn summary(&self) -> &CampaignSummary {
        &self.summary
    }

    /// Fits the law to the loss on a held-out set, or to the mean over all, and writes nothing.
    pub(crate) fn fit(self, set: &str, unit: report::Unit, options: &AnalysisOptions) -> anyhow::Result<Fitted> {
        let measure = Measure::named(&self.measured.plan, set, unit).or_bad_input()?;
        let conclusion = Conclusion::about(self.measured, options, measure);
        Ok(Fitted { table: conclusion.table(), fit: conclusion.fit_file() })
    }

    /// Fits the law, and writes the files into a directory that is there.
    pub(crate) fn conclude(self, out: &Path, options: &AnalysisOptions) -> anyhow::Result<Outcome> {
        let conclusion = Conclusion::of(self.measured, options);
        let files = conclusion.write(out).context("the results could not be written")?;
        let fitted = Fitted { table: conclusion.table(), fit: conclusion.fit_file() };
        Ok(Outcome { fitted, files: Written::from(files) })
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

/// What `windtunnel fit` prints: as JSON the contents of `fit.json`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Fitted {
    #[serde(skip)]
    table: String,
    fit: FitFile,
}

impl Fitted {
    /// The contents of `fit.json`.
    pub(crate) fn into_file(self) -> FitFile {
        self.fit
    }
}

impl View for Fitted {
    fn table(&self) -> String {
        self.table.clone()
    }
}

/// What `windtunnel run` and `windtunnel report` print.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    #[serde(rename = "fit")]
    fitted: Fitted,
    files: Written,
}

/// Where the files are.
#[derive(Debug, Serialize)]
struct Written {
    points: String,
    fit: String,
    report: String,
}

impl From<Files> for Written {
    fn from(files: Files) -> Self {
        let [points, fit, report] = [files.points, files.fit, files.report].map(|path| path.display().to_string());
        Self { points, fit, report }
    }
}

impl View for Outcome {
    fn table(&self) -> String {
        let Written { points, fit, report } = &self.files;
        format!("{}\n{points}\n{fit}\n{report}\n", self.fitted.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_no_folder() {
        assert_eq!(out_dir(None, "smoke.2").expect("a plain name"), Path::new("out/smoke.2"));
        for name in ["", ".", "..", "../out", "/etc", "a/b", "a\nb"] {
            assert!(out_dir(None, name).is_err(), "{name:?}");
            assert_eq!(out_dir(Some(Path::new("here")), name).expect("it was asked for"), Path::new("here"));
        }
    }
}
