//! Decayed points: `points.csv`, and the table the law is fitted to.

use std::collections::BTreeMap;
use std::fmt::Write;

use recipes::{LrSchedule, Stage, StageKey, StageRole, TrialId};

use crate::campaign::Campaign;

/// A model trained to the end of its decay, with its loss on held-out text.
#[derive(Debug, Clone, PartialEq)]
pub struct DecayedPoint {
    /// The size, as the recipe names it.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    /// D: every token it was trained on.
    pub d: u64,
    /// Nats a token.
    pub loss: f64,
    /// Nats a byte.
    pub loss_per_byte: Option<f64>,
    /// The seed, as the recipe numbers it.
    pub seed: u64,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// The amount of data the recipe asked for.
    pub nominal: u64,
    /// Steps it was trained for.
    pub step: u64,
    /// The first stage of its path: points with the same one share a trunk, and with it its luck.
    pub trunk: StageKey,
    /// The stage that ended with the loss.
    pub stage: StageKey,
    /// Its trial.
    pub trial: TrialId,
}

/// Which of the points the law is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Of several learning rates, the one with the lowest loss, for each size, seed and amount of data.
    BestLearningRate,
}

/// The decayed points that are measured, in the plan's order. A trial that ends at its peak learning rate is none: its loss
/// is that of a trunk, a tenth of a nat and more above what a decay would reach.
pub(crate) fn decayed(campaign: &Campaign) -> Vec<DecayedPoint> {
    let stages = campaign.plan.stages_by_key();
    let point = |trial: &recipes::Trial| {
        let loss = campaign.losses.get(&trial.id)?;
        let last = *stages.get(trial.last_stage())?;
        is_decayed(last).then(|| DecayedPoint {
            size: trial.size.clone(),
            n: trial.n,
            d: trial.d.0,
            loss: loss.per_token,
            loss_per_byte: loss.per_byte,
            seed: trial.seed,
            peak_lr: last.spec.peak_lr,
            nominal: trial.nominal.0,
            step: last.spec.end_step,
            trunk: trial.path[0],
            stage: last.key,
            trial: trial.id,
        })
    };
    campaign.plan.trials.iter().filter_map(point).collect()
}

/// Whether a stage ends below its peak learning rate.
pub(crate) fn is_decayed(stage: &Stage) -> bool {
    let constant = matches!(stage.spec.schedule, LrSchedule::Constant { .. });
    matches!(stage.role, StageRole::Decay | StageRole::Whole) && !constant
}

/// The rows the law is fitted to, in the order of the points.
pub(crate) fn select(points: &[DecayedPoint]) -> (Vec<&DecayedPoint>, Selection) {
    let mut best: BTreeMap<(u64, u64, u64), &DecayedPoint> = BTreeMap::new();
    for point in points {
        let place = best.entry((point.n, point.d, point.seed)).or_insert(point);
        if point.loss < place.loss {
            *place = point;
        }
    }
    let several = points.iter().any(|point| point.peak_lr != points[0].peak_lr);
    if !several {
        return (points.iter().collect(), Selection::All);
    }
    let is_best = |point: &&DecayedPoint| best[&(point.n, point.d, point.seed)].trial == point.trial;
    (points.iter().filter(is_best).collect(), Selection::BestLearningRate)
}

/// A point as a row of the law's table.
pub(crate) fn row(point: &DecayedPoint) -> scaling::Point {
    scaling::Point {
        size: point.size.clone(),
        n: point.n as f64,
        d: point.d as f64,
        loss: point.loss,
        trunk: point.trunk.to_string(),
    }
}

/// `points.csv`: floats in the shortest form that reads back to the same bits, and nothing that depends on when or where.
pub(crate) fn csv(points: &[DecayedPoint]) -> String {
    let mut text = "size,n,d,loss,loss_per_byte,seed,peak_lr,nominal_tokens,step,trunk,stage,trial\n".to_owned();
    for point in points {
        let DecayedPoint { size, n, d, loss, seed, peak_lr, nominal, step, trunk, stage, trial, .. } = point;
        let size = quoted(size);
        let per_byte = point.loss_per_byte.map(|loss| loss.to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{size},{n},{d},{loss},{per_byte},{seed},{peak_lr},{nominal},{step},{trunk},{stage},{trial}"
        );
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seed: u64, peak_lr: f64, loss: f64) -> DecayedPoint {
        let name = format!("{seed} {peak_lr}");
        DecayedPoint {
            size: "a,\"b\"".to_owned(),
            n: 100,
            d: 2000,
            loss,
            loss_per_byte: None,
            seed,
            peak_lr,
            nominal: 2000,
            step: 20,
            trunk: StageKey::from_content(name.as_bytes()),
            stage: StageKey::from_content(b"a stage"),
            trial: TrialId::from_content(name.as_bytes()),
        }
    }

    #[test]
    fn of_several_learning_rates_the_best_is_fitted() {
        let points = [point(0, 0.01, 3.0), point(0, 0.02, 2.5), point(1, 0.01, 2.0), point(1, 0.02, 2.0)];
        let (rows, selection) = select(&points);
        assert_eq!(selection, Selection::BestLearningRate);
        assert_eq!(rows.iter().map(|row| (row.seed, row.peak_lr)).collect::<Vec<_>>(), [(0, 0.02), (1, 0.01)]);
        assert_eq!(select(&points[..1]).1, Selection::All);
    }

    #[test]
    fn cells_with_commas_are_quoted_and_floats_keep_their_bits() {
        let text = csv(&[point(0, 0.01, 0.1 + 0.2)]);
        let row = text.lines().nth(1).expect("a row");
        assert!(row.starts_with("\"a,\"\"b\"\"\",100,2000,0.30000000000000004,,0,0.01,2000,20,stage_"), "{row}");
    }
}
