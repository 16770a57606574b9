//! Losses as a grid: sizes by amounts of data.

use std::collections::{BTreeMap, BTreeSet};

use recipes::units::human_count;
use recipes::{Plan, StageKey, TrialId};

use crate::points::DecayedPoint;

/// A grid of the final losses, rows in the plan's order.
pub(crate) struct Grid {
    /// Above the columns: `500k`, or `10N` where the recipe counts in multiples of N.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One model's losses.
pub(crate) struct Row {
    /// The size, with its seed and learning rate where the campaign has several.
    pub(crate) label: String,
    pub(crate) n: u64,
    /// By column; `None` where there is no such trial, or it has no loss.
    pub(crate) losses: Vec<Option<f64>>,
}

/// More columns than this do not fit beside one another.
const MAX_COLUMNS: usize = 12;

/// What tells a model of the plan from the others: its size, and its seed and learning rate where there are several.
pub(crate) fn labels(plan: &Plan) -> BTreeMap<StageKey, String> {
    let stages = plan.stages_by_key();
    let several_seeds = plan.trials.iter().any(|trial| trial.seed != plan.trials[0].seed);
    let lr = |key: &StageKey| stages.get(key).map(|stage| stage.spec.peak_lr).unwrap_or_default();
    let several_lrs = plan.trials.iter().any(|trial| lr(&trial.path[0]) != lr(&plan.trials[0].path[0]));
    let label = |trial: &recipes::Trial| {
        let seed = if several_seeds { format!(" seed {}", trial.seed) } else { String::new() };
        let lr = if several_lrs { format!(" lr {}", lr(&trial.path[0])) } else { String::new() };
        (trial.path[0], format!("{}{seed}{lr}", trial.size))
    };
    plan.trials.iter().map(label).collect()
}

impl Grid {
    /// `None` where the amounts of data are too many to stand beside one another.
    pub(crate) fn of(plan: &Plan, points: &[DecayedPoint]) -> Option<Self> {
        let losses: BTreeMap<TrialId, f64> = points.iter().map(|point| (point.trial, point.loss)).collect();
        let labels = labels(plan);
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
            let label = &labels[&trial.path[0]];
            // Runs that share no stage, as those of a cosine schedule do not, are still of one model.
            if rows.last().is_none_or(|row| row.label != *label) {
                rows.push(Row { label: label.clone(), n: trial.n, losses: vec![None; columns.len()] });
            }
            let value = if in_multiples { multiple(trial.nominal.0, trial.n) } else { trial.nominal.0 };
            let column = columns.iter().position(|column| *column == value)?;
            rows.last_mut()?.losses[column] = losses.get(&trial.id).copied();
        }
        let title = |column: u64| {
            if in_multiples { format!("{}N", column as f64 / 1000.0) } else { human_count(column as f64) }
        };
        Some(Self { columns: columns.into_iter().map(title).collect(), rows })
    }
}

/// A multiple in thousandths, at three significant digits: nominal tokens are whole, so 10N may be 10.00004 times N.
fn three_of(multiple: f64) -> u64 {
    let rounded: f64 = format!("{multiple:.2e}").parse().unwrap_or(multiple);
    (rounded * 1000.0).round() as u64
}
