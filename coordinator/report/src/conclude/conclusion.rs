//! From a campaign's measurements to its conclusions.

use scaling::single::Comparison;
use scaling::{Analysis, AnalysisOptions, FitError, analyse};

use super::batches::BatchLaw;
use super::campaign::Campaign;
use super::counting::Counting;
use super::measure::Measure;
use super::points::{self, MeasuredPoint, Selection};
use super::sets::{self, SetFit};
use super::{batches, envelope};

/// A campaign with its points and, if they determine one, its law.
#[derive(Debug, Clone)]
pub struct Conclusion {
    pub(crate) campaign: Campaign,
    pub(crate) points: Vec<MeasuredPoint>,
    pub(crate) selection: Selection,
    /// The arm whose points were fitted, if the recipe has arms.
    pub(crate) arm: Option<String>,
    /// Number of fitted points.
    pub(crate) fitted: usize,
    pub(crate) analysis: Result<Analysis, FitError>,
    /// The batch-size law; `None` if too few batch sizes were tried.
    pub(crate) batch_law: Option<BatchLaw>,
    /// Two functional forms compared on the loss of a single size.
    pub(crate) envelope: Option<Comparison>,
    /// What N and C count.
    pub(crate) counting: Counting,
    /// The loss under consideration.
    pub(crate) measure: Measure,
    /// The law of each held-out set and of their mean, if there are several sets.
    pub(crate) sets: Vec<(String, SetFit)>,
}

impl Conclusion {
    /// Fits the law to the measurements. A failed fit is a conclusion too.
    #[must_use]
    pub fn of(campaign: Campaign, options: &AnalysisOptions) -> Self {
        Self::about(campaign, options, Measure::default())
    }

    /// The same for another loss: on one of several held-out sets, or in nats a byte.
    #[must_use]
    pub fn about(campaign: Campaign, options: &AnalysisOptions, measure: Measure) -> Self {
        Self::counted(campaign, options, measure, Counting::default())
    }

    /// The same with other meanings of N and C.
    #[must_use]
    pub fn counted(campaign: Campaign, options: &AnalysisOptions, measure: Measure, counting: Counting) -> Self {
        let points = points::measured(&campaign, measure);
        let (rows, selection) = points::select(&points);
        let envelope = envelope::compared(&rows);
        let batch_law = batches::law(&points);
        let options = &AnalysisOptions { cost: counting.cost(&campaign.plan, &rows), ..options.clone() };
        let row = |point| scaling::Point { n: counting.n(&campaign.plan, point), ..points::row(point) };
        let rows: Vec<scaling::Point> = rows.into_iter().map(row).collect();
        let analysis = analyse(&rows, options);
        let arm = points::fitted_arm(&points).map(str::to_owned);
        let sets = sets::fits(&campaign, options, counting);
        Self {
            counting,
            arm,
            fitted: rows.len(),
            campaign,
            points,
            selection,
            analysis,
            batch_law,
            envelope,
            measure,
            sets,
        }
    }

    /// The measured points, in plan order.
    #[must_use]
    pub fn points(&self) -> &[MeasuredPoint] {
        &self.points
    }

    /// The fitted law with its intervals, optima and diagnostics.
    ///
    /// # Errors
    /// The reason no law could be fitted, for example too few model sizes.
    pub fn analysis(&self) -> Result<&Analysis, &FitError> {
        self.analysis.as_ref()
    }

    /// The reason no law was fitted, in words. If no trial was decayed, it says so rather than report too few points.
    pub(crate) fn refusal(&self) -> Option<String> {
        let error = self.analysis.as_ref().err()?;
        let no_decay = !self.points.is_empty() && self.points.iter().all(|point| !point.decayed);
        Some(if no_decay { "none of the points is from the end of a decay".to_owned() } else { error.to_string() })
    }
}
