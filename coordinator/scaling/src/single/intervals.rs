//! Intervals of a law in one variable, by resampling groups and by the delta method.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::distinct;
use super::problem::Problem;
use super::{Observation, SingleLaw, SingleOptions};
use crate::dense::Symmetric;
use crate::descent::{Residuals, descend_again};
use crate::intervals::Interval;
use crate::quantile::{central, student};
use crate::resample::{GroupDraws, refit};

/// Intervals of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SingleIntervals {
    /// Probability with which each interval holds the truth.
    pub level: f64,
    /// Interval of the coefficient.
    pub a: Interval,
    /// Interval of the exponent or rate.
    pub b: Interval,
    /// Interval of the floor, if the form has one.
    pub c: Option<Interval>,
}

/// Intervals by resampling, with the laws behind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// Percentiles of the draws.
    pub intervals: SingleIntervals,
    /// The draws behind the intervals.
    pub draws: GroupDraws,
    /// The law of each draw.
    #[serde(skip)]
    pub laws: Vec<SingleLaw>,
}

impl Bootstrapped {
    /// The interval of a quantity derived from a law.
    #[must_use]
    pub fn interval_of(&self, quantity: impl Fn(&SingleLaw) -> f64) -> Option<Interval> {
        central(self.laws.iter().map(quantity).collect(), self.intervals.level)
    }
}

/// The group of each observation, numbered from 0, and the number of groups.
fn numbered(observations: &[Observation]) -> (Vec<usize>, usize) {
    let mut numbers = BTreeMap::new();
    for seen in observations {
        let next = numbers.len();
        numbers.entry(seen.group).or_insert(next);
    }
    (observations.iter().map(|seen| numbers[&seen.group]).collect(), numbers.len())
}

pub(super) fn bootstrap(
    observations: &[Observation],
    problem: &Problem,
    found: &[f64],
    options: &SingleOptions,
) -> Option<Bootstrapped> {
    let (members, groups) = numbered(observations);
    // With fewer values than one more than the parameters, a draw fits exactly and carries no information about noise.
    let needed = found.len() + 1;
    let usable = |counts: &[u32]| {
        let present = observations.iter().zip(&members).filter(|(_, group)| counts[**group] > 0);
        distinct(present.map(|(seen, _)| seen.x)) >= needed
    };
    let (laws, draws) = refit(&vec![0; groups], &options.bootstrap, usable, |counts| {
        let weighted = problem.weighted(members.iter().map(|&group| f64::from(counts[group])).collect());
        let end = descend_again(&weighted, found, options.objective);
        end.converged.then(|| weighted.law(&end.params))
    })?;
    let level = options.bootstrap.level;
    let of = |quantity: fn(&SingleLaw) -> f64| central(laws.iter().map(quantity).collect(), level);
    let c = if problem.law(found).form.has_floor() { of(|law| law.c) } else { None };
    let intervals = SingleIntervals { level, a: of(|law| law.a)?, b: of(|law| law.b)?, c };
    Some(Bootstrapped { intervals, draws, laws })
}

/// The sandwich estimator: the law's matrix around the spread of the groups' influence, valid for any objective, with
/// Student's quantile for the degrees of freedom that the groups leave.
pub(super) fn delta(
    observations: &[Observation],
    problem: &Problem,
    found: &[f64],
    options: &SingleOptions,
) -> Option<SingleIntervals> {
    let n = found.len();
    let (members, groups) = numbered(observations);
    let freedom = observations.len().saturating_sub(n).min(groups.saturating_sub(1));
    if freedom == 0 || problem.at_bounds(found).0 {
        return None;
    }
    let (residuals, jacobian) = (problem.residuals(found), problem.jacobian(found));
    let mut bread = Symmetric::zero(n);
    let mut scores = vec![vec![0.0; n]; groups];
    for ((residual, row), &group) in residuals.iter().zip(jacobian.chunks_exact(n)).zip(&members) {
        let (_, influence, curvature) = options.objective.penalty(*residual);
        bread.add_outer(row, curvature);
        scores[group].iter_mut().zip(row).for_each(|(score, slope)| *score += influence * slope);
    }
    let mut meat = Symmetric::zero(n);
    let few = observations.len() as f64 / (observations.len() - n).max(1) as f64;
    scores.iter().for_each(|score| meat.add_outer(score, few));
    let inverse = bread.inverse()?;
    let reach = student(options.bootstrap.level, freedom);
    let law = problem.law(found);
    let error = |row: &[f64]| reach * meat.quadratic(&inverse.times(row)).max(0.0).sqrt();
    let chain = problem.chain();
    let factor = |value: f64, by: f64| Interval { low: value * (-by).exp(), high: value * by.exp() };
    let by = error(&chain[1]);
    Some(SingleIntervals {
        level: options.bootstrap.level,
        a: factor(law.a, error(&chain[0])),
        b: Interval { low: law.b - by, high: law.b + by },
        c: chain.get(2).map(|row| factor(law.c, error(row))),
    })
}
