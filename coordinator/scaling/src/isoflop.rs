//! IsoFLOP curves (approach 2 of the Chinchilla paper): the best size at each budget, and how it grows.
//!
//! [`fit()`] groups points by their compute, finds the size with the lowest loss at each budget (by default the vertex
//! of a parabola of loss over log N) and returns an [`IsoFlop`]: all budgets, including those without a best size, and
//! the [`Frontier`] through the others. Intervals resample whole budgets: they cover what differs between budgets, but
//! not what a second seed would change in all of them alike.

use serde::{Deserialize, Serialize};

use crate::frontier::{Best, Frontier, MIN_BUDGETS, lines};
use crate::intervals::BootstrapOptions;
use crate::resample::refit;
use crate::valley::{Through, Valley, valley};

/// A model trained at a budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IsoPoint {
    /// Budget C, in FLOPs.
    pub flops: f64,
    /// Parameter count.
    pub n: f64,
    /// Token count.
    pub d: f64,
    /// Loss, in nats.
    pub loss: f64,
}

/// How the best sizes are found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IsoOptions {
    /// The curve drawn through the losses of a budget: a parabola of the loss, or a spline of its logarithm.
    pub through: Through,
    /// Points whose compute differs by less than this share belong to one budget.
    pub same_budget: f64,
    /// How budgets are resampled.
    pub bootstrap: BootstrapOptions,
}

impl Default for IsoOptions {
    fn default() -> Self {
        Self {
            through: Through::Parabola { nearest: Some(5) },
            same_budget: 0.01,
            bootstrap: BootstrapOptions::default(),
        }
    }
}

/// One isoFLOP curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Budget C, in FLOPs, of its first point.
    pub flops: f64,
    /// In ascending order of N.
    pub points: Vec<IsoPoint>,
    /// The size with the lowest loss: `at` is N.
    pub valley: Valley,
}

/// IsoFLOP curves and the frontier through their best sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsoFlop {
    /// In ascending order.
    pub budgets: Vec<Budget>,
    /// Through the budgets that have a best size.
    pub frontier: Frontier,
}

/// Points that have no frontier.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IsoError {
    /// A number that is not positive and finite.
    #[error("point {index} has {quantity} = {value}: it must be finite and above zero")]
    BadPoint {
        /// Index in the list, from 0.
        index: usize,
        /// `flops`, `n`, `d` or `loss`.
        quantity: &'static str,
        value: f64,
    },
    /// At too few budgets the best size lies between those trained.
    #[error("{found} of {budgets} budgets have a best size between those trained: a frontier needs {needed}")]
    TooFewMinima {
        /// Budgets where it does.
        found: usize,
        /// Number of budgets.
        budgets: usize,
        /// Number needed.
        needed: usize,
    },
}

/// Finds the best size at each budget, and the frontier.
///
/// # Errors
/// Fails if a number is not positive and finite, or too few budgets have a best size.
pub fn fit(points: &[IsoPoint], options: &IsoOptions) -> Result<IsoFlop, IsoError> {
    for (index, point) in points.iter().enumerate() {
        for (quantity, value) in [("flops", point.flops), ("n", point.n), ("d", point.d), ("loss", point.loss)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(IsoError::BadPoint { index, quantity, value });
            }
        }
    }
    let budgets = budgets(points, options);
    let best: Vec<Best> = budgets.iter().filter_map(best).collect();
    let too_few = IsoError::TooFewMinima { found: best.len(), budgets: budgets.len(), needed: MIN_BUDGETS };
    let found = lines(&best, |_| 1.0).ok_or(too_few)?;
    let drawn = refit(
        &vec![0; best.len()],
        &options.bootstrap,
        |counts| counts.iter().filter(|count| **count > 0).count() >= MIN_BUDGETS,
        |counts| lines(&best, |index| f64::from(counts[index])),
    );
    Ok(IsoFlop { budgets, frontier: Frontier::new(best, found, drawn, &options.bootstrap) })
}

fn budgets(points: &[IsoPoint], options: &IsoOptions) -> Vec<Budget> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    let mut budgets: Vec<Budget> = Vec::new();
    for point in points {
        match budgets.last_mut() {
            Some(budget) if point.flops <= budget.flops * (1.0 + options.same_budget) => budget.points.push(point),
            _ => budgets.push(Budget { flops: point.flops, points: vec![point], valley: Valley::TooFew { found: 0 } }),
        }
    }
    for budget in &mut budgets {
        budget.points.sort_by(|a, b| a.n.total_cmp(&b.n));
        let value = |loss: f64| if options.through == Through::Akima { loss.ln() } else { loss };
        let measured: Vec<_> = budget.points.iter().map(|point| (point.n, value(point.loss), 1.0)).collect();
        budget.valley = match valley(&measured, options.through) {
            Valley::Lowest { at, value } if options.through == Through::Akima => {
                Valley::Lowest { at, value: value.exp() }
            }
            other => other,
        };
    }
    budgets
}

/// D of the best size, interpolated in log D over log N between its neighbours: this assumes no FLOPs per token.
fn best(budget: &Budget) -> Option<Best> {
    let (n, loss) = budget.valley.lowest()?;
    let after = budget.points.partition_point(|point| point.n <= n).clamp(1, budget.points.len() - 1);
    let (a, b) = (budget.points[after - 1], budget.points[after]);
    let share = if a.n == b.n { 0.0 } else { (n / a.n).ln() / (b.n / a.n).ln() };
    Some(Best { flops: budget.flops, n, d: a.d * (b.d / a.d).powf(share), loss })
}
