//! Fits the law through the best batches of all losses and sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::iso::{distinct, iso_losses};
use super::{BatchError, BatchOptions, BatchRun, IsoLoss};
use crate::intervals::Interval;
use crate::line::PowerLine;
use crate::quantile::central;
use crate::resample::{GroupDraws, refit};
use crate::valley::MIN_SETTINGS;

/// A line through two losses leaves no residual to estimate noise from.
const MIN_LEVELS: usize = 3;

/// A batch-size law, B = c / L^p, with L in nats and B in tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchFit {
    /// Best batch at a loss of 1 nat, in tokens.
    pub c: f64,
    pub p: f64,
    /// The line of log B over log L, whose slope is -p. Its standard error is too small, because it treats the losses
    /// of one run as independent.
    pub line: PowerLine,
    /// All iso-loss curves, including those without a best batch.
    pub iso_losses: Vec<IsoLoss>,
    /// By resampling the runs of each size; `None` if too few different draws determine a law.
    pub intervals: Option<BatchIntervals>,
}

/// Intervals of a batch-size law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchIntervals {
    /// Probability with which each interval holds the truth.
    pub level: f64,
    /// Interval of c.
    pub c: Interval,
    /// Interval of p.
    pub p: Interval,
    /// The draws behind the intervals. A draw resamples runs within each size.
    pub draws: GroupDraws,
    /// The line of each draw.
    #[serde(skip)]
    pub lines: Vec<PowerLine>,
}

impl BatchFit {
    /// Best batch for a loss, in tokens.
    #[must_use]
    pub fn predict(&self, loss: f64) -> f64 {
        self.line.predict(loss)
    }

    /// Interval of the best batch for a loss.
    #[must_use]
    pub fn interval_at(&self, loss: f64) -> Option<Interval> {
        let intervals = self.intervals.as_ref()?;
        central(intervals.lines.iter().map(|line| line.predict(loss)).collect(), intervals.level)
    }
}

/// Fits the law.
///
/// # Errors
/// Fails if the runs do not show enough best batches.
pub fn fit(runs: &[BatchRun], options: &BatchOptions) -> Result<BatchFit, BatchError> {
    let iso_losses = iso_losses(runs, options)?;
    let minima: Vec<(f64, f64, f64)> =
        iso_losses.iter().filter_map(|iso| Some((iso.loss, iso.best()?.0, 1.0))).collect();
    let levels = distinct(minima.iter().map(|minimum| minimum.0));
    let line = PowerLine::through(&minima).filter(|_| levels >= MIN_LEVELS);
    let line = line.ok_or_else(|| BatchError::TooFewMinima {
        found: minima.len(),
        levels: iso_losses.len(),
        distinct: levels,
        needed: MIN_LEVELS,
        why: reasons(&iso_losses),
    })?;
    let intervals = intervals(runs, &iso_losses, options);
    Ok(BatchFit { c: line.coefficient, p: -line.exponent, line, iso_losses, intervals })
}

/// Why losses have no best batch, with counts.
fn reasons(iso_losses: &[IsoLoss]) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for why in iso_losses.iter().filter_map(|iso| iso.valley.why_not()) {
        *reasons.entry(why).or_default() += 1;
    }
    reasons.into_iter().map(|(why, times)| format!("; at {times}, {why}")).collect()
}

fn intervals(runs: &[BatchRun], iso_losses: &[IsoLoss], options: &BatchOptions) -> Option<BatchIntervals> {
    let mut sizes: Vec<&str> = runs.iter().map(|run| run.size.as_str()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let strata: Vec<usize> =
        runs.iter().map(|run| sizes.binary_search(&run.size.as_str()).expect("it is one of them")).collect();
    // A draw with one batch size fewer than a valley normally needs still has a parabola, and should vary.
    let least = MIN_SETTINGS - 1;
    let batches_drawn = |size: usize, counts: &[u32]| {
        distinct((0..runs.len()).filter(|&run| strata[run] == size && counts[run] > 0).map(|run| runs[run].batch))
    };
    let all = vec![1; runs.len()];
    let enough: Vec<usize> = (0..sizes.len()).filter(|&size| batches_drawn(size, &all) >= MIN_SETTINGS).collect();
    let usable = |counts: &[u32]| enough.iter().all(|&size| batches_drawn(size, counts) >= least);
    let (lines, draws) = refit(&strata, &options.bootstrap, usable, |counts| {
        let best = |iso: &IsoLoss| iso.valley_with(least, |run| f64::from(counts[run]), options).lowest();
        let minima: Vec<(f64, f64, f64)> =
            iso_losses.iter().filter_map(|iso| Some((iso.loss, best(iso)?.0, 1.0))).collect();
        PowerLine::through(&minima).filter(|_| distinct(minima.iter().map(|minimum| minimum.0)) >= MIN_LEVELS)
    })?;
    let level = options.bootstrap.level;
    let of = |quantity: fn(&PowerLine) -> f64| central(lines.iter().map(quantity).collect(), level);
    Some(BatchIntervals { level, c: of(|line| line.coefficient)?, p: of(|line| -line.exponent)?, draws, lines })
}
