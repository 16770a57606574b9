//! The trials of a search, one per line.

use std::collections::BTreeMap;
use std::fmt::Write;

use proto::v1;
use recipes::search::{Outcome, TrialEnd, grow, recipe_lines};
use serde::Serialize;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::search::Settings;
use vocabulary::{Plan, StageKey};

use crate::views::output::any_columns;
use crate::views::stage::words;

/// The progress of a search.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SearchView {
    trials: Vec<TrialView>,
    /// The number of the best completed trial, if any.
    best: Option<usize>,
    /// Total number of trials planned.
    in_the_end: usize,
}

/// A trial of a search.
#[derive(Debug, Clone, Serialize)]
struct TrialView {
    /// Counted from 1.
    trial: usize,
    id: String,
    settings: Settings,
    state: String,
    /// Held-out loss at the last rung it reached, or at its end.
    loss: Option<f64>,
}

impl SearchView {
    /// `None` if the campaign is not a search.
    pub(crate) fn of(plan: &Plan, stages: &[v1::StageStatus]) -> Option<Self> {
        let search = plan.search.as_ref()?;
        let outcomes: BTreeMap<StageKey, Outcome> =
            plan.stages.iter().zip(stages).filter_map(|(stage, status)| Some((stage.key, outcome(status)?))).collect();
        let progress = grow(search, &plan.trials, |stage| outcomes.get(stage).copied());
        let trials = progress.trials.iter().zip(&progress.standings).enumerate().map(|(index, (trial, standing))| {
            let state = match standing.end {
                None if standing.awaits_judgement => "awaiting judgement".to_owned(),
                None => words::OPEN.to_owned(),
                Some(TrialEnd::Completed) => words::COMPLETED.to_owned(),
                Some(TrialEnd::Pruned { step }) => format!("{} at {step}", words::PRUNED),
                Some(TrialEnd::Diverged) => words::DIVERGED.to_owned(),
                Some(TrialEnd::Failed) => words::GIVEN_UP.to_owned(),
            };
            let loss = standing.losses.last().copied().filter(|loss| loss.is_finite());
            TrialView { trial: index + 1, id: trial.id.to_string(), settings: trial.settings.clone(), state, loss }
        });
        let trials: Vec<TrialView> = trials.collect();
        let best = progress.best().and_then(|(best, _)| progress.trials.iter().position(|trial| trial.id == best.id));
        // Until a trial completes, the best so far is not a result.
        let best = best.filter(|index| progress.standings[*index].end == Some(TrialEnd::Completed));
        Some(Self { trials, best: best.map(|index| index + 1), in_the_end: plan.trials_in_the_end() })
    }

    pub(crate) fn table(&self) -> String {
        let keys: Vec<String> = self
            .trials
            .first()
            .map(|trial| trial.settings.keys().map(ToString::to_string).collect())
            .unwrap_or_default();
        let mut header = vec![" trial".to_owned()];
        header.extend(keys.iter().map(|key| format!(" {key}")));
        header.extend([" loss", "state"].map(str::to_owned));
        let rows: Vec<Vec<String>> = self.trials.iter().map(TrialView::cells).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut text = any_columns(&header, &rows);
        if self.in_the_end > self.trials.len() {
            let _ = writeln!(text, "{} more will follow", self.in_the_end - self.trials.len());
        }
        if let Some(best) = self.best.and_then(|best| self.trials.get(best - 1)) {
            let lines = recipe_lines(&best.settings);
            let _ = write!(text, "\nthe best is trial {}, as lines for a recipe:\n\n{lines}", best.trial);
        }
        text
    }
}

impl TrialView {
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.trial.to_string()];
        cells.extend(self.settings.values().map(f64::to_string));
        cells.push(self.loss.map(|loss| format!("{loss:.4}")).unwrap_or_default());
        cells.push(self.state.clone());
        cells
    }
}

fn outcome(status: &v1::StageStatus) -> Option<Outcome> {
    match status.phase() {
        v1::StagePhase::Completed => {
            Some(Outcome::Completed { loss: status.result.as_ref().and_then(|result| result.get(VALIDATION_LOSS)) })
        }
        v1::StagePhase::Diverged => Some(Outcome::Diverged),
        v1::StagePhase::Failed => Some(Outcome::Failed),
        v1::StagePhase::NotRun | v1::StagePhase::Waiting | v1::StagePhase::Running | v1::StagePhase::Unspecified => {
            None
        }
    }
}
