//! The compute-optimal frontier: the best model at each budget, and how it grows with the budget.
//!
//! Both [`isoflop`](mod@crate::isoflop) (approach 2) and [`envelope`](mod@crate::envelope) (approach 1) end in it: N
//! and D as powers of C.

use serde::{Deserialize, Serialize};

use crate::intervals::{BootstrapOptions, Interval};
use crate::line::PowerLine;
use crate::quantile::central;
use crate::resample::GroupDraws;

/// The best model at one budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Budget C, in FLOPs.
    pub flops: f64,
    /// Parameter count N.
    pub n: f64,
    /// Token count D.
    pub d: f64,
    /// Loss, in nats.
    pub loss: f64,
}

/// A quantity as a power of C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    pub line: PowerLine,
    /// Interval of the exponent by resampling; `None` if too few different draws determine a line.
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
    /// Probability with which each interval holds the truth.
    pub level: f64,
    /// The draws behind the intervals; `None` without intervals.
    pub draws: Option<GroupDraws>,
}

/// A line through two budgets leaves no residual to estimate noise from.
pub(crate) const MIN_BUDGETS: usize = 3;

/// The lines of N and D through weighted best models.
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
    /// Combines the best models with the lines of each draw.
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
