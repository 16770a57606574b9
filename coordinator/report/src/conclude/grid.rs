//! Losses as a grid: sizes by amounts of data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vocabulary::units::human_count;
use vocabulary::{Plan, StageKey, Trial, TrialId};

use super::campaign::{Campaign, StageEnd};
use super::points::MeasuredPoint;

/// A grid of the final losses, rows in the plan's order.
pub(crate) struct Grid {
    /// Column titles: `500k`, or `10N` if the recipe counts in multiples of N.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One model's losses.
pub(crate) struct Row {
    /// The size, with arm, seed and learning rate where the campaign has several; in a search, the trial.
    pub(crate) label: String,
    pub(crate) n: u64,
    /// In the order of the columns; `None` where the plan has no such trial.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// The end of one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    /// With this loss.
    Loss(f64),
    /// Why the loss is missing: `diverged`, `pruned`, `pending`.
    Without(&'static str),
}

impl Cell {
    fn of(campaign: &Campaign, trial: &Trial, loss: Option<f64>) -> Self {
        let Campaign { early, progress, .. } = campaign;
        match (loss, early.get(&trial.id)) {
            (Some(loss), _) => Self::Loss(loss),
            (None, Some(end)) if end.result.is_some() => Self::Without("pruned"),
            (None, Some(_)) => Self::Without(StageEnd::Diverged.name()),
            (None, None) => match trial.path.iter().find_map(|stage| progress.ended.get(stage)) {
                Some(end) => Self::Without(end.name()),
                None if trial.path.iter().any(|stage| progress.open.contains(stage)) => Self::Without("pending"),
                None => Self::Without("no loss"),
            },
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(loss) => write!(f, "{loss:.4}"),
            Self::Without(why) => f.write_str(why),
        }
    }
}

/// More columns than this do not fit side by side.
const MAX_COLUMNS: usize = 12;

/// Labels that distinguish the models of a plan: arm, size, seed and learning rate where there are several; in a search, the
/// trial's number.
pub(crate) struct Labels {
    trials: BTreeMap<TrialId, String>,
    roots: BTreeMap<StageKey, String>,
}

impl Labels {
    pub(crate) fn of(plan: &Plan) -> Self {
        let stages = plan.stages_by_key();
        let lr = |trial: &Trial| stages.get(&trial.path[0]).map(|stage| stage.spec.peak_lr).unwrap_or_default();
        let several_seeds = plan.trials.iter().any(|trial| trial.seed != plan.trials[0].seed);
        let several_lrs = plan.trials.iter().any(|trial| lr(trial) != lr(&plan.trials[0]));
        let mut labels = Self { trials: BTreeMap::new(), roots: BTreeMap::new() };
        for (index, trial) in plan.trials.iter().enumerate() {
            let seed = if several_seeds { format!(" seed {}", trial.seed) } else { String::new() };
            let lr = if several_lrs { format!(" lr {}", lr(trial)) } else { String::new() };
            let model = format!("{}{seed}{lr}", trial.size);
            // Each trial of a search is a model of its own, named by its number.
            let model = if plan.search.is_some() { format!("trial {}", index + 1) } else { model };
            let label = trial.arm.as_ref().map_or_else(|| model.clone(), |arm| format!("{arm} {model}"));
            // A trunk shared by several arms carries no arm's name.
            labels
                .roots
                .entry(trial.path[0])
                .and_modify(|shared| {
                    if *shared != label {
                        shared.clone_from(&model);
                    }
                })
                .or_insert_with(|| label.clone());
            labels.trials.insert(trial.id, label);
        }
        labels
    }

    /// The label of the run that begins with a stage.
    pub(crate) fn root(&self, root: &StageKey) -> Option<&str> {
        self.roots.get(root).map(String::as_str)
    }

    /// The label of a trial.
    pub(crate) fn trial(&self, trial: &TrialId) -> Option<&str> {
        self.trials.get(trial).map(String::as_str)
    }
}

impl Grid {
    /// `None` if there are too many amounts of data to show side by side.
    pub(crate) fn of(campaign: &Campaign, points: &[MeasuredPoint]) -> Option<Self> {
        let plan = &campaign.plan;
        let losses: BTreeMap<TrialId, f64> = points.iter().map(|point| (point.trial, point.loss)).collect();
        let labels = Labels::of(plan);
        let tokens: BTreeSet<u64> = plan.trials.iter().map(|trial| trial.nominal.0).collect();
        let multiple = |nominal: u64, n: u64| three_of(nominal as f64 / n as f64);
        let multiples: BTreeSet<u64> = plan.trials.iter().map(|trial| multiple(trial.nominal.0, trial.n)).collect();
        let in_multiples = multiples.len() < tokens.len();
        let columns = if in_multiples { multiples } else { tokens };
        if columns.len() > MAX_COLUMNS {
            return None;
        }
        let mut rows: Vec<Row> = Vec::new();
        for trial in &plan.trials {
            let label = labels.trial(&trial.id)?;
            // Runs that share no stage (a cosine schedule, for instance) still belong to one model.
            if rows.last().is_none_or(|row| row.label != label) {
                rows.push(Row { label: label.to_owned(), n: trial.n, cells: vec![None; columns.len()] });
            }
            let value = if in_multiples { multiple(trial.nominal.0, trial.n) } else { trial.nominal.0 };
            let column = columns.iter().position(|column| *column == value)?;
            rows.last_mut()?.cells[column] = Some(Cell::of(campaign, trial, losses.get(&trial.id).copied()));
        }
        // Most trials of a search end before they have a loss.
        let has_loss = |row: &Row| row.cells.iter().any(|cell| matches!(cell, Some(Cell::Loss(_))));
        rows.retain(|row| plan.search.is_none() || has_loss(row));
        let title = |column: u64| {
            if in_multiples { format!("{}N", column as f64 / 1000.0) } else { human_count(column as f64) }
        };
        Some(Self { columns: columns.into_iter().map(title).collect(), rows })
    }
}

/// A multiple in thousandths, to three significant digits: nominal tokens are whole numbers, so 10N may be 10.00004 N.
fn three_of(multiple: f64) -> u64 {
    let rounded: f64 = format!("{multiple:.2e}").parse().unwrap_or(multiple);
    (rounded * 1000.0).round() as u64
}
