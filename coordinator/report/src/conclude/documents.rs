//! The documents behind losses: the errors that come from measuring on a sample of text.

use std::collections::BTreeMap;

use scaling::{
    Analysis, AnalysisOptions, BootstrapOptions, Difference, Document, DocumentErrors, Documents, resample_documents,
};
use serde::{Deserialize, Serialize};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{DocumentLoss, StageKey};

use super::campaign::Campaign;
use super::measure::{HeldOut, Measure, Unit};
use super::points::MeasuredPoint;

/// Draws of documents: the ends of an interval move by a tenth of its width from draw to draw.
const DRAWS: usize = 400;

/// The errors of a campaign's losses that come from the documents they are measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOutErrors {
    /// Documents that each loss is measured on.
    pub documents: usize,
    /// The smallest and the largest standard error of a loss, by document.
    pub standard_error: [f64; 2],
    /// What they mean for the law; absent without a law.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<DocumentErrors>,
}

/// The documents behind a stage's loss; `None` if they were not kept, or are too few to tell an error from.
pub(crate) fn of(campaign: &Campaign, stage: &StageKey, measure: Measure) -> Option<Documents> {
    let rows = campaign.rows.get(stage)?;
    let domains = campaign.plan.dataset.as_ref().map_or(0, |dataset| dataset.domains.len());
    let of_set = |set: usize| rows.get(VALIDATION_LOSS.part(set));
    let sets: Vec<&[DocumentLoss]> = match measure.set {
        Some(HeldOut::Domain(set)) => vec![of_set(set).or_else(|| rows.get(VALIDATION_LOSS))?],
        Some(HeldOut::Evaluated(_)) => return None,
        None => match rows.get(VALIDATION_LOSS) {
            Some(rows) => vec![rows],
            None => (0..domains).map(of_set).collect::<Option<_>>()?,
        },
    };
    let document = |row: &DocumentLoss| {
        let weight = match measure.unit {
            Unit::Token => row.tokens,
            Unit::Byte => row.bytes,
        };
        Document { sum: row.nats, weight: weight as f64 }
    };
    Documents::new(sets.into_iter().map(|set| set.iter().map(document).collect()).collect())
}

/// The difference between the losses at the ends of two stages, with its error; `None` without the documents of both, or if
/// they were measured on different ones.
pub(crate) fn difference(
    campaign: &Campaign,
    one: &StageKey,
    other: &StageKey,
    measure: Measure,
) -> Option<Difference> {
    of(campaign, one, measure)?.minus(&of(campaign, other, measure)?)
}

/// The errors of the points, and of the law that was fitted to the rows of some of them. `None` unless all of those have their
/// documents.
pub(crate) fn errors(
    campaign: &Campaign,
    points: &[MeasuredPoint],
    fitted: &[&MeasuredPoint],
    rows: &[scaling::Point],
    analysis: Option<&Analysis>,
    options: &AnalysisOptions,
    measure: Measure,
) -> Option<HeldOutErrors> {
    let all: Option<Vec<Documents>> = fitted.iter().map(|point| of(campaign, &point.stage, measure)).collect();
    let all = all.filter(|all| !all.is_empty())?;
    // Of every point that people see, not only of the fitted ones.
    let errors = points.iter().filter_map(|point| of(campaign, &point.stage, measure));
    let errors = errors.map(|documents| documents.standard_error());
    let standard_error = errors.fold([f64::INFINITY, 0.0], |[least, most], error| [error.min(least), error.max(most)]);
    let documents: Vec<&Documents> = all.iter().collect();
    let bootstrap = BootstrapOptions { draws: DRAWS.min(options.bootstrap.draws), ..options.bootstrap };
    let law = analysis.and_then(|analysis| {
        let runs = analysis.intervals.as_ref();
        resample_documents(rows, &documents, &analysis.fit, &options.fit, &bootstrap, runs)
    });
    Some(HeldOutErrors { documents: all[0].count(), standard_error, law })
}

/// Two arms compared on models that differ in nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArmsCompared<'a> {
    pub(crate) arm: &'a str,
    pub(crate) other: &'a str,
    pub(crate) size: &'a str,
    pub(crate) seed: u64,
    pub(crate) nominal: u64,
    /// The first minus the second.
    pub(crate) difference: Difference,
}

/// Each arm beside the first, at every size, seed and amount of data that both have. Of several learning rates the best counts.
pub(crate) fn arms<'a>(campaign: &Campaign, points: &'a [MeasuredPoint], measure: Measure) -> Vec<ArmsCompared<'a>> {
    type Place<'a> = (&'a str, u64, u64);
    let mut arms: Vec<(&str, BTreeMap<Place<'_>, &MeasuredPoint>)> = Vec::new();
    for point in points {
        let Some(arm) = point.arm.as_deref() else { return Vec::new() };
        let place = arms.iter().position(|(known, _)| *known == arm).unwrap_or_else(|| {
            arms.push((arm, BTreeMap::new()));
            arms.len() - 1
        });
        let best = arms[place].1.entry((&point.size, point.seed, point.nominal)).or_insert(point);
        if point.loss < best.loss {
            *best = point;
        }
    }
    let Some(((other, base), arms)) = arms.split_first() else { return Vec::new() };
    let compared = arms.iter().flat_map(|(arm, models)| {
        models.iter().filter_map(|(&(size, seed, nominal), point)| {
            let difference = difference(campaign, &point.stage, &base.get(&(size, seed, nominal))?.stage, measure)?;
            Some(ArmsCompared { arm, other, size, seed, nominal, difference })
        })
    });
    compared.collect()
}
