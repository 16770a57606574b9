//! The outcome of a search: its trials ranked, and which settings matter.

use scaling::Difference;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::search::{Dimension, Parameter, Settings};
use vocabulary::{StageKey, Trial};

use super::campaign::{Campaign, EarlyEnd};
use super::documents;
use super::measure::Measure;

/// The finished trials of a search, ranked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Searched<'a> {
    /// The searched keys.
    pub(crate) space: &'a [Dimension],
    /// Best first.
    pub(crate) trials: Vec<Tried<'a>>,
    /// Total number of trials planned.
    pub(crate) in_the_end: usize,
    campaign: &'a Campaign,
}

/// A finished trial of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tried<'a> {
    /// Counted from 1, in the order they were suggested.
    pub(crate) number: usize,
    pub(crate) settings: &'a Settings,
    /// `None` if it completed.
    pub(crate) early: Option<&'a EarlyEnd>,
    /// At its end, or where it was ended; `None` where it diverged.
    pub(crate) loss: Option<f64>,
    /// Completed steps.
    pub(crate) steps: u64,
    /// The stage that ended with the loss.
    stage: &'a StageKey,
}

impl<'a> Searched<'a> {
    /// `None` if the campaign is not a search.
    pub(crate) fn of(campaign: &'a Campaign) -> Option<Self> {
        let search = campaign.plan.search.as_ref()?;
        let tried = |(index, trial): (usize, &'a Trial)| {
            let early = campaign.early.get(&trial.id);
            let (loss, steps) = match early {
                Some(early) => (early.result.as_ref().and_then(|result| result.get(VALIDATION_LOSS)), early.step),
                None => (Some(campaign.results.get(&trial.id)?.get(VALIDATION_LOSS)?), search.base.whole.steps.end),
            };
            Some(Tried { number: index + 1, settings: &trial.settings, early, loss, steps, stage: trial.last_stage() })
        };
        let mut trials: Vec<Tried<'a>> = campaign.plan.trials.iter().enumerate().filter_map(tried).collect();
        // Ranked as the search itself ranks them: further is better, diverged is worst.
        trials.sort_by(|a, b| {
            let key = |trial: &Tried<'_>| (trial.loss.is_none(), std::cmp::Reverse(trial.steps));
            let loss = |trial: &Tried<'_>| trial.loss.unwrap_or(f64::INFINITY);
            key(a).cmp(&key(b)).then(loss(a).total_cmp(&loss(b))).then(a.number.cmp(&b.number))
        });
        Some(Self { space: &search.space, trials, in_the_end: search.trials as usize, campaign })
    }

    /// The best completed trial.
    pub(crate) fn best(&self) -> Option<&Tried<'a>> {
        self.trials.first().filter(|trial| trial.early.is_none() && trial.loss.is_some())
    }

    /// The loss of the best completed trial minus that of the next, with its error; `None` where it cannot be told.
    pub(crate) fn ahead(&self) -> Option<Difference> {
        let [best, next, ..] = self.trials.as_slice() else { return None };
        let both = [best, next];
        let completed = both.iter().all(|trial| trial.early.is_none() && trial.loss.is_some());
        let of = |measure| documents::difference(self.campaign, both[0].stage, both[1].stage, measure);
        completed.then(|| of(Measure::default())).flatten()
    }

    /// How many completed, were pruned, and diverged.
    pub(crate) fn counts(&self) -> [usize; 3] {
        let early = |trial: &&Tried<'_>| trial.early.is_some();
        let diverged = self.trials.iter().filter(|trial| trial.loss.is_none()).count();
        let early = self.trials.iter().filter(early).count();
        [self.trials.len() - early, early - diverged, diverged]
    }

    /// How many trials have ended, and how.
    pub(crate) fn in_words(&self) -> String {
        let [completed, pruned, diverged] = self.counts();
        let mut text = format!("{} of {} trials: {completed} completed", self.trials.len(), self.in_the_end);
        for (count, how) in [(pruned, "pruned"), (diverged, "diverged")] {
            if count > 0 {
                text.push_str(&format!(", {count} {how}"));
            }
        }
        text
    }

    /// The settings of a trial, in the order of the keys.
    pub(crate) fn values(&self, trial: &Tried<'_>) -> Vec<String> {
        let value = |dimension: &Dimension| {
            let value = trial.settings.get(&dimension.parameter);
            value.map(f64::to_string).unwrap_or_default()
        };
        self.space.iter().map(value).collect()
    }

    /// The importance of each key, largest first.
    pub(crate) fn importance(&self) -> Option<Vec<(Parameter, f64)>> {
        let place = |trial: &Tried<'_>, dimension: &Dimension| {
            let value = trial.settings.get(&dimension.parameter);
            value.map_or(0.5, |value| dimension.values.place(*value))
        };
        let places = |trial: &Tried<'a>| self.space.iter().map(|dimension| place(trial, dimension)).collect();
        let places: Vec<Vec<f64>> = self.trials.iter().map(places).collect();
        let parts = scaling::importance(&places)?;
        let mut parts: Vec<(Parameter, f64)> =
            self.space.iter().map(|dimension| dimension.parameter).zip(parts).collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        Some(parts)
    }
}

impl Tried<'_> {
    /// How it ended, in a word or two.
    pub(crate) fn state(&self) -> String {
        match (self.early, self.loss) {
            (None, _) => "completed".to_owned(),
            (Some(early), Some(_)) => format!("pruned at {}", early.step),
            (Some(early), None) => format!("diverged at {}", early.step),
        }
    }
}
