//! How often a model sees its training text.

use crate::dataset::Dataset;
use crate::plan::Plan;
use crate::spec::StageSpec;
use crate::trial::Trial;

/// More passes than this over a text repeat it. A run that ends a few steps beyond its first pass does not count.
pub const REPEATED: f64 = 1.01;

impl Plan {
    /// The passes over each domain of the training text, or over all of it, that a trial has made by the end of its last stage
    /// so far. Empty without data, and where the trial was not on this text then.
    ///
    /// A branch onto other text counts from its own first step: what came before has not seen that text.
    #[must_use]
    pub fn passes(&self, trial: &Trial) -> Vec<f64> {
        let end = trial.path.iter().rev().find_map(|key| self.stage(key)).map(|stage| stage.spec.steps.end);
        self.passes_at(trial, end.unwrap_or_default())
    }

    /// The same by an earlier step.
    #[must_use]
    pub fn passes_at(&self, trial: &Trial, step: u64) -> Vec<f64> {
        let Some(dataset) = &self.dataset else { return Vec::new() };
        let stages: Vec<&StageSpec> =
            trial.path.iter().filter_map(|key| self.stage(key)).map(|stage| &stage.spec).collect();
        let by_step = stages.iter().rposition(|spec| spec.steps.start < step).unwrap_or_default();
        let on_text = stages.iter().take(by_step + 1).rev().take_while(|spec| spec.data.dataset == dataset.id);
        let on_text: Vec<&StageSpec> = on_text.copied().collect();
        let (Some(last), Some(first)) = (on_text.first(), on_text.last()) else { return Vec::new() };
        let (before, by_then) = (taken(first, dataset, first.steps.start), taken(last, dataset, step));
        let texts: Vec<u64> = match dataset.domains.as_slice() {
            [] => vec![dataset.train_tokens],
            domains => domains.iter().map(|domain| domain.train_tokens).collect(),
        };
        let passes = |(tokens, (before, by_then)): (u64, (&u64, &u64))| {
            // A pass is over when each window of a context was seen once.
            let windows = (tokens / u64::from(last.batch.context).max(1)).max(1);
            by_then.saturating_sub(*before) as f64 / windows as f64
        };
        texts.into_iter().zip(before.iter().zip(&by_then)).map(passes).collect()
    }
}

/// Sequences of each text that a stage's run has taken before a step.
fn taken(spec: &StageSpec, dataset: &Dataset, step: u64) -> Vec<u64> {
    let sequences = step.saturating_mul(u64::from(spec.batch.sequences));
    match spec.data.mixture.filter(|_| !dataset.domains.is_empty()) {
        Some(mixture) => mixture.taken_before(sequences).to_vec(),
        None => vec![sequences],
    }
}

/// Whether one of the texts was repeated.
#[must_use]
pub fn is_repeated(passes: &[f64]) -> bool {
    passes.iter().any(|passes| *passes > REPEATED)
}
