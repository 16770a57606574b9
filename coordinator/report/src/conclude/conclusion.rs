//! From a campaign's measurements to its conclusions.

use scaling::single::Comparison;
use scaling::{Analysis, AnalysisOptions, FitError, analyse};
use vocabulary::{Domain, Tokens};

use super::batches::BatchLaw;
use super::campaign::Campaign;
use super::counting::Counting;
use super::documents::{self, HeldOutErrors};
use super::measure::Measure;
use super::points::{self, MeasuredPoint, Repeated, Selection};
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
    /// The errors that come from the documents; `None` if those were not kept, or if there is only one.
    pub(crate) documents: Option<HeldOutErrors>,
    /// Decayed points of the fitted arm that were left out because they repeat data.
    pub(crate) left_out: usize,
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
        Self::with(campaign, options, measure, Counting::default(), Repeated::default())
    }

    /// The same with other meanings of N and C, and with or without the points that were trained on repeated data.
    #[must_use]
    pub fn with(
        campaign: Campaign,
        options: &AnalysisOptions,
        measure: Measure,
        counting: Counting,
        repeated: Repeated,
    ) -> Self {
        let points = points::measured(&campaign, measure);
        let (fitted, selection) = points::select(&points, repeated);
        let envelope = envelope::compared(&fitted);
        let fresh: Vec<MeasuredPoint> =
            points.iter().filter(|point| repeated == Repeated::Fitted || !point.is_repeated()).cloned().collect();
        let batch_law = batches::law(&fresh);
        let options = &AnalysisOptions { cost: counting.cost(&campaign.plan, &fitted), ..options.clone() };
        let row =
            |point: &&MeasuredPoint| scaling::Point { n: counting.n(&campaign.plan, point), ..points::row(point) };
        let rows: Vec<scaling::Point> = fitted.iter().map(row).collect();
        let analysis = analyse(&rows, options);
        let documents = documents::errors(&campaign, &points, &fitted, &rows, analysis.as_ref().ok(), options, measure);
        let arm = points::fitted_arm(&points).map(str::to_owned);
        let is_left_out = |point: &&MeasuredPoint| {
            point.decayed && point.arm == arm && repeated == Repeated::LeftOut && point.is_repeated()
        };
        let left_out = points.iter().filter(is_left_out).count();
        let sets = sets::fits(&campaign, options, counting, repeated);
        let fitted = rows.len();
        Self {
            counting,
            arm,
            fitted,
            campaign,
            points,
            selection,
            analysis,
            batch_law,
            envelope,
            measure,
            documents,
            left_out,
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
        let why = if no_decay { "none of the points is from the end of a decay".to_owned() } else { error.to_string() };
        Some(match self.repeated_data() {
            Some(repeated) if self.left_out > 0 => format!("{why}. {repeated}"),
            _ => why,
        })
    }

    /// The passes over the training text, in words, and what became of points that repeat it; `None` without data.
    pub(crate) fn passes(&self) -> Option<String> {
        let dataset = self.campaign.plan.dataset.as_ref()?;
        let most = self.most_passes();
        let texts = match dataset.domains.as_slice() {
            [] => vec![format!("{} tokens, seen up to {:.2} times", Tokens(dataset.train_tokens), most.first()?)],
            domains => {
                let of = |(domain, passes): (&Domain, &f64)| {
                    format!("{} {} tokens, up to {passes:.2} times", domain.name, Tokens(domain.train_tokens))
                };
                domains.iter().zip(&most).map(of).collect()
            }
        };
        Some(texts.join("; "))
    }

    /// The most passes that a measured point made over each text.
    pub(crate) fn most_passes(&self) -> Vec<f64> {
        let texts = self.points.iter().map(|point| point.passes.len()).max().unwrap_or_default();
        let most = |text: usize| {
            self.points.iter().filter_map(|point| point.passes.get(text)).fold(0.0, |a: f64, b| a.max(*b))
        };
        (0..texts).map(most).collect()
    }

    /// How many measured points repeat data.
    pub(crate) fn repeated(&self) -> usize {
        self.points.iter().filter(|point| point.is_repeated()).count()
    }

    /// That points repeat data and what became of them, as a sentence; `None` if none does.
    pub(crate) fn repeated_data(&self) -> Option<String> {
        let repeated = self.repeated();
        let all = self.points.len();
        match (repeated, self.left_out) {
            (0, _) => None,
            (_, 0) => Some(format!("{repeated} of {all} points repeat training data")),
            (_, left_out) => {
                let which = if left_out == repeated { "are".to_owned() } else { format!("{left_out} of them are") };
                Some(format!(
                    "{repeated} of {all} points repeat training data, and {which} left out of the law, which describes \
                     fresh data. Give more text or fewer tokens a point, or fit them too with --repeated"
                ))
            }
        }
    }
}
