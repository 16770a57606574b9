//! How large the floor L0 may be, where the points hardly tell it from zero.
//!
//! The delta method speaks of small changes around the estimate. Where the best floor is zero, or may be anything between
//! zero and most of the loss, it has nothing to say: so floors are tried. At each of them the other parameters are fitted,
//! and the floor belongs to the interval unless the points pull away from it by more than chance would. The pull and its
//! standard error are those of the delta method at that floor, clustered and with Student's t as everywhere else.

use crate::clustered::{Clustered, t_quantile};
use crate::fit::FitOptions;
use crate::intervals::Interval;
use crate::law::Params;
use crate::solver::Problem;
use crate::units::Units;

/// The floors that the points allow.
#[derive(Debug, Clone)]
pub(crate) struct Floor {
    /// From zero if there may be none, and at most the lowest loss.
    pub(crate) interval: Interval,
    /// Whether the interval ends at the lowest loss because the points exclude no floor up to it.
    pub(crate) is_open: bool,
    /// The uncertainty of the other parameters at some of the likelier floors.
    pub(crate) others: Vec<Clustered>,
}

/// Floors are tried up to this share of the lowest loss.
const MOST: f64 = 0.98;
/// Floors below this share of the lowest loss count as zero.
const LEAST: f64 = 1e-4;
const HALVINGS: usize = 14;
/// The other parameters are looked at where the pull is at most this share of what chance allows. Their own intervals are
/// added to it, and both are rarely at their ends at once.
const LIKELY: f64 = 0.5;
/// Floors at which the other parameters are looked at.
const LOOKED_AT: usize = 5;

impl Floor {
    /// `None` if a single cluster determines a parameter.
    pub(crate) fn of(
        problem: &Problem,
        params: &Params,
        units: &Units,
        fitting: &FitOptions,
        level: f64,
    ) -> Option<Self> {
        let lowest = problem.lowest();
        let best = params[4].exp().clamp(LEAST * lowest, MOST * lowest);
        let at = |floor: f64| problem.at_floor(params, floor, fitting.objective);
        // How far the points pull, up or down, over what chance allows.
        let pull = |floor: f64| -> Option<f64> {
            let found = Clustered::new(problem, &at(floor), units, [true; 5], fitting.objective)?;
            let (step, spread) = found.floor_step();
            let allowed = t_quantile(spread.freedom, level)? * spread.error;
            (allowed > 0.0).then(|| step / allowed)
        };
        pull(best)?;
        let (least, most) = (LEAST * lowest, MOST * lowest);
        // The floor from the best one towards `end` at which the points pull back with this share of what is allowed;
        // `None` if they nowhere do.
        let edge = |end: f64, share: f64| {
            let is_excluded =
                |floor: f64| pull(floor).is_some_and(|pull| if end < best { pull > share } else { pull < -share });
            is_excluded(end).then(|| {
                let (mut within, mut beyond) = (best, end);
                for _ in 0..HALVINGS {
                    let middle = 0.5 * (within + beyond);
                    if is_excluded(middle) { beyond = middle } else { within = middle }
                }
                beyond
            })
        };
        let (low, high) = (edge(least, 1.0), edge(most, 1.0));
        let is_open = high.is_none();
        let (first, last) = (edge(least, LIKELY).unwrap_or(least), edge(most, LIKELY).unwrap_or(most));
        let looked_at = (0..LOOKED_AT).map(|step| {
            let share = step as f64 / (LOOKED_AT - 1) as f64;
            let params = at(first + share * (last - first));
            let free = std::array::from_fn(|i| i < 4);
            Clustered::new(problem, &params, units, free, fitting.objective)
        });
        let interval = Interval { low: low.unwrap_or(0.0), high: high.unwrap_or(lowest) };
        Some(Self { interval, is_open, others: looked_at.flatten().collect() })
    }

    /// The interval of a quantity: whatever it may be at any of the floors.
    pub(crate) fn interval_of(&self, level: f64, quantity: &dyn Fn(&Params) -> Option<f64>) -> Option<Interval> {
        let all: Option<Vec<Interval>> = self.others.iter().map(|at| at.interval(level, quantity)).collect();
        all?.into_iter().reduce(Interval::hull)
    }
}
