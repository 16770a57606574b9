//! The compute-optimal frontier: the best model at each of some budgets, and how it grows with them.
//!
//! What [`isoflop`](mod@crate::isoflop) (approach 2) and [`envelope`](mod@crate::envelope) (approach 1) both end in: N and D
//! as powers of C.

use serde::{Deserialize, Serialize};

use crate::intervals::{BootstrapOptions, Interval};
use crate::line::PowerLine;
use crate::quantile::central;
use crate::resample::GroupDraws;

/// The best model at one budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// C, operations.
    pub flops: f64,
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// Its loss.
    pub loss: f64,
}

/// One quantity as a power of C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The line.
    pub line: PowerLine,
    /// Of the exponent, by resampling; `None` where too few different draws determine a line.
    pub exponent: Option<Interval>,
}

/// The best models, and N and D as powers of C.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    /// In ascending order of budgets.
    pub best: Vec<Best>,
    /// N over C.
    pub n: Growth,
    /// D over C.
    pub d: Growth,
    /// The share of the draws that intervals hold.
    pub level: f64,
    /// What was drawn; `None` without intervals.
    pub draws: Option<GroupDraws>,
}

/// A line through two budgets says nothing of noise.
pub(crate) const MIN_BUDGETS: usize = 3;

/// The lines of N and D through the best models, each with a weight.
pub(crate) fn lines(best: &[Best], weight: impl Fn(usize) -> f64) -> Option<[PowerLine; 2]> {
    let drawn = (0..best.len()).filter(|&index| weight(index) > 0.0);
    let mut budgets: Vec<u64> = drawn.map(|index| best[index].flops.to_bits()).collect();
    budgets.sort_unstable();
    budgets.dedup();
    if budgets.len() < MIN_BUDGETS {
        return None;
    }
    let through = |quantity: fn(&Best) -> f64| {
        let points: Vec<_> =
            best.iter().enumerate().map(|(index, best)| (best.flops, quantity(best), weight(index))).collect();
        PowerLine::through(&points)
    };
    Some([through(|best| best.n)?, through(|best| best.d)?])
}

impl Frontier {
    /// Of the best models and of the lines of each draw.
    pub(crate) fn new(
        best: Vec<Best>,
        [n, d]: [PowerLine; 2],
        drawn: Option<(Vec<[PowerLine; 2]>, GroupDraws)>,
        options: &BootstrapOptions,
    ) -> Self {
        let exponent = |which: usize| {
            let (lines, _) = drawn.as_ref()?;
            central(lines.iter().map(|pair| pair[which].exponent).collect(), options.level)
        };
        Self {
            n: Growth { line: n, exponent: exponent(0) },
            d: Growth { line: d, exponent: exponent(1) },
            best,
            level: options.level,
            draws: drawn.map(|(_, draws)| draws),
        }
    }
}
