//! Tokens needed to reach a loss at each batch size, and the batch size that needs the fewest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BatchError, BatchOptions, BatchRun, Levels};
use crate::monotone::FallingCurve;
use crate::valley::{MIN_SETTINGS, Valley, valley_of_at_least};

/// A loss at which the batch sizes of one size are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsoLoss {
    /// Name of the size.
    pub size: String,
    /// Parameter count of the size.
    pub n: f64,
    /// The loss, in nats.
    pub loss: f64,
    /// What each run needed; runs that never reached the loss are absent.
    pub reached: Vec<Reached>,
    /// The batch that needs the fewest tokens: `at` is a batch in tokens, `value` the log of the tokens needed.
    pub valley: Valley,
}

/// The tokens one run needed to reach a loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Index of the run, from 0.
    pub run: usize,
    /// Its batch, in tokens.
    pub batch: f64,
    /// Tokens needed.
    pub tokens: f64,
}

impl IsoLoss {
    /// The best batch and the tokens it needs, if it lies between the measured ones.
    #[must_use]
    pub fn best(&self) -> Option<(f64, f64)> {
        self.valley.lowest().map(|(batch, log_tokens)| (batch, log_tokens.exp()))
    }
}

/// The iso-loss curves of runs: sizes in ascending order of N, losses descending.
///
/// # Errors
/// Fails if a number is not positive and finite, or no size has enough batch sizes.
pub fn iso_losses(runs: &[BatchRun], options: &BatchOptions) -> Result<Vec<IsoLoss>, BatchError> {
    validate(runs, &options.levels)?;
    let curves: Vec<FallingCurve> = runs.iter().map(|run| FallingCurve::nearest(&run.curve)).collect();
    let mut sizes: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        // Positive doubles sort like their bits.
        sizes.entry((run.n.to_bits(), run.size.as_str())).or_default().push(index);
    }
    let batches = |members: &[usize]| distinct(members.iter().map(|&run| runs[run].batch));
    let found = sizes.values().map(|members| batches(members)).max().unwrap_or_default();
    if found < MIN_SETTINGS {
        return Err(BatchError::TooFewBatches { found, needed: MIN_SETTINGS });
    }
    let mut all = Vec::new();
    for members in sizes.values().filter(|members| batches(members) >= MIN_SETTINGS) {
        for loss in levels(members, &curves, batches(members), &options.levels) {
            let reached: Vec<Reached> = members
                .iter()
                .filter_map(|&run| Some(Reached { run, batch: runs[run].batch, tokens: curves[run].tokens_to(loss)? }))
                .collect();
            let run = &runs[members[0]];
            let mut iso =
                IsoLoss { size: run.size.clone(), n: run.n, loss, reached, valley: Valley::TooFew { found: 0 } };
            iso.valley = iso.valley_with(MIN_SETTINGS, |_| 1.0, options);
            all.push(iso);
        }
    }
    Ok(all)
}

impl IsoLoss {
    /// The valley with weighted runs.
    pub(super) fn valley_with(&self, least: usize, weight: impl Fn(usize) -> f64, options: &BatchOptions) -> Valley {
        let measured: Vec<(f64, f64, f64)> =
            self.reached.iter().map(|reached| (reached.batch, reached.tokens.ln(), weight(reached.run))).collect();
        valley_of_at_least(least, &measured, options.through)
    }
}

/// The losses at which one size's batch sizes are compared, descending.
fn levels(members: &[usize], curves: &[FallingCurve], batches: usize, levels: &Levels) -> Vec<f64> {
    let mut losses = match levels {
        Levels::Given { losses } => losses.clone(),
        Levels::Even { count } => {
            let ends: Vec<(f64, f64)> = members.iter().filter_map(|&run| curves[run].losses()).collect();
            let mut lowest: Vec<f64> = ends.iter().map(|end| end.1).collect();
            lowest.sort_by(f64::total_cmp);
            let enough = MIN_SETTINGS.max((3 * batches).div_ceil(4));
            let Some(&low) = lowest.get(enough - 1) else { return Vec::new() };
            let high = ends.iter().map(|end| end.0).fold(f64::INFINITY, f64::min);
            if high <= low {
                return Vec::new();
            }
            let at = |k: usize| low * (high / low).powf(0.5 * k as f64 / (*count).max(2).saturating_sub(1) as f64);
            (0..*count).map(at).collect()
        }
    };
    losses.sort_by(|a, b| b.total_cmp(a));
    losses.dedup();
    losses
}

pub(super) fn distinct(values: impl Iterator<Item = f64>) -> usize {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.len()
}

fn validate(runs: &[BatchRun], levels: &Levels) -> Result<(), BatchError> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if let Levels::Given { losses } = levels
        && let Some(&value) = losses.iter().find(|loss| !positive(**loss))
    {
        return Err(BatchError::BadLevel { value });
    }
    for (index, run) in runs.iter().enumerate() {
        let of_curve = run.curve.iter().flat_map(|&(tokens, loss)| [("tokens", tokens), ("loss", loss)]);
        let bad = [("n", run.n), ("batch", run.batch)].into_iter().chain(of_curve).find(|(_, value)| !positive(*value));
        if let Some((quantity, value)) = bad {
            return Err(BatchError::BadRun { index, size: run.size.clone(), quantity, value });
        }
        if run.curve.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(BatchError::Unordered { index, size: run.size.clone() });
        }
    }
    Ok(())
}
