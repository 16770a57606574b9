//! Forecasts a campaign's branches: the losses of branches that have not been run.
//!
//! The law is fitted to a trunk's curve and to those of its finished decays. Only B and C of the decay term are fitted,
//! because a few decays of one form do not tell the exponents apart; those are taken from the literature
//! ([`Shape::PUBLISHED`]). Alternatively the law is fitted to the trunk alone, with the decay term of another fit
//! ([`Donor`]). Curves are training losses, but a branch ends in a loss on held-out text: the mean difference between
//! the two, where both are known, is added.
//!
//! The error is never taken from the fit, but from finished branches forecast without their own curve and loss, or,
//! with a donor, from branches of which nothing was used. An interval combines those errors with what the curves leave
//! open; with fewer than two errors there is no interval.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::LossCurve;
use super::error::CurveError;
use super::fit::{CurveFit, CurveOptions, fit_from};
use super::law::{DecayTerm, MultiPowerLaw, Shape};
use super::schedule::Schedule;
use crate::intervals::Interval;
use crate::quantile::student;

/// A branch of a trunk, run or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Name, for display.
    pub name: String,
    /// Learning rates of the whole run, from the trunk's first step.
    pub schedule: Schedule,
    /// Steps done and training loss of its own steps; empty if it has not been run.
    pub points: Vec<(usize, f64)>,
    /// Final loss on held-out text, once it has ended, in nats.
    pub loss: Option<f64>,
}

/// A trunk and its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The trunk's training curve.
    pub trunk: LossCurve,
    /// Losses on held-out text along the trunk, by steps done.
    pub held_out: Vec<(usize, f64)>,
    pub branches: Vec<Branch>,
}

/// The decay term of another fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Donor {
    pub decay: DecayTerm,
    /// Root of the mean squared error, in nats, of this term at the branches of other trunks, and their number. `None`
    /// if it was never tried.
    pub transfer: Option<(f64, usize)>,
}

/// Forecasts for a tree's branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecasts {
    /// The law behind them.
    pub fit: CurveFit,
    /// Mean difference of held-out and training loss, in nats, and the number of places it was averaged over.
    pub offset: (f64, usize),
    /// One per branch, in order.
    pub branches: Vec<Forecast>,
    /// How well finished branches were forecast without being seen. `None` if there are none.
    pub unseen: Option<Unseen>,
}

/// The forecast of one branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Name, for display.
    pub name: String,
    /// Forecast loss on held-out text, in nats. It uses nothing of the branch itself.
    pub loss: f64,
    /// Interval of the loss; `None` with too few errors to estimate one.
    pub interval: Option<Interval>,
    /// The measured loss, if the branch has been run.
    pub measured: Option<f64>,
}

/// Forecasts of finished branches against their measurements, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// Number of branches.
    pub branches: usize,
    /// Mean of forecast minus measured.
    pub bias: f64,
    /// Root of the mean square.
    pub rmse: f64,
    /// Largest absolute error.
    pub worst: f64,
}

/// A tree that has no forecasts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// No finished decay, and no donor.
    #[error("no decay has finished, and a trunk alone does not show the effect of a decay")]
    NothingDecayed,
    /// No loss on held-out text is known.
    #[error("no loss on held-out text is known yet: wait for a stage of the trunk or a branch to end")]
    NoHeldOutLoss,
    /// The law has no fit.
    #[error("the curves have no multi-power law")]
    NoLaw(#[source] CurveError),
}

/// A decay is about a tenth of its run, and gets roughly that share of the trunk's points.
const BRANCH_SHARE: usize = 4;
/// Minimum number of forecast errors for an interval.
const LEAST_ERRORS: usize = 2;

/// Forecasts the branches of a tree.
///
/// # Errors
/// Fails if the tree has too little to forecast from.
pub fn forecast(tree: &Tree, donor: Option<&Donor>, options: &CurveOptions) -> Result<Forecasts, ForecastError> {
    let everything: Vec<bool> = tree.branches.iter().map(Branch::is_finished).collect();
    let whole = Forecaster::of(tree, &everything, None, donor, options)?;
    // A finished branch is forecast from what is left without it; with a donor, nothing of any branch was used anyway.
    let quick = CurveOptions { bootstrap: crate::BootstrapOptions { draws: 0, ..options.bootstrap }, ..*options };
    let alone: Vec<Option<f64>> = (0..tree.branches.len())
        .into_par_iter()
        .map(|index| {
            if donor.is_some() || !everything[index] {
                return Some(whole.loss(&tree.branches[index].schedule));
            }
            let mut others = everything.clone();
            others[index] = false;
            Forecaster::of(tree, &others, Some(&whole.fit.law), None, &quick)
                .ok()
                .map(|others| others.loss(&tree.branches[index].schedule))
        })
        .collect();
    let errors: Vec<f64> = tree
        .branches
        .iter()
        .zip(&alone)
        .filter_map(|(branch, forecast)| Some((*forecast)? - branch.loss.filter(|_| branch.is_finished())?))
        .collect();
    let unseen = Unseen::of(&errors);
    let error = match (unseen, donor.and_then(|donor| donor.transfer)) {
        (Some(unseen), _) if unseen.branches >= LEAST_ERRORS => Some((unseen.rmse, unseen.branches)),
        (_, transfer) => transfer.filter(|(_, count)| *count >= LEAST_ERRORS),
    };
    let branches = tree.branches.iter().zip(alone).map(|(branch, alone)| {
        let loss = alone.unwrap_or_else(|| whole.loss(&branch.schedule));
        Forecast {
            name: branch.name.clone(),
            loss,
            interval: whole.interval(loss, &branch.schedule, error, options.bootstrap.level),
            measured: branch.loss,
        }
    });
    Ok(Forecasts { branches: branches.collect(), offset: whole.offset, fit: whole.fit, unseen })
}

impl Branch {
    fn is_finished(&self) -> bool {
        self.loss.is_some() && !self.points.is_empty()
    }
}

impl Unseen {
    fn of(errors: &[f64]) -> Option<Self> {
        let count = errors.len() as f64;
        (!errors.is_empty()).then(|| Self {
            branches: errors.len(),
            bias: errors.iter().sum::<f64>() / count,
            rmse: (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt(),
            worst: errors.iter().map(|error| error.abs()).fold(0.0, f64::max),
        })
    }
}

/// A fit and the offset to held-out losses.
struct Forecaster {
    fit: CurveFit,
    offset: (f64, usize),
}

impl Forecaster {
    fn of(
        tree: &Tree,
        used: &[bool],
        near: Option<&MultiPowerLaw>,
        donor: Option<&Donor>,
        options: &CurveOptions,
    ) -> Result<Self, ForecastError> {
        let used: Vec<&Branch> =
            tree.branches.iter().zip(used).filter(|(_, used)| **used).map(|(branch, _)| branch).collect();
        let (shape, used) = match donor {
            Some(donor) => (Shape::Given { decay: donor.decay }, Vec::new()),
            None if used.is_empty() => return Err(ForecastError::NothingDecayed),
            None => (Shape::PUBLISHED, used),
        };
        let mut curves = vec![tree.trunk.clone()];
        curves.extend(used.iter().map(|branch| {
            let Branch { name, schedule, points, .. } = (*branch).clone();
            LossCurve { name, schedule, points }.thinned(options.points / BRANCH_SHARE)
        }));
        let fit = fit_from(near, &curves, &CurveOptions { shape, ..*options }).map_err(ForecastError::NoLaw)?;
        let offset = offset(tree, &used, &fit.law).ok_or(ForecastError::NoHeldOutLoss)?;
        Ok(Self { fit, offset })
    }

    fn loss(&self, schedule: &Schedule) -> f64 {
        self.fit.law.predict_end(schedule) + self.offset.0
    }

    /// Combines the errors of forecasts with what the curves leave open, as if independent.
    fn interval(&self, loss: f64, schedule: &Schedule, error: Option<(f64, usize)>, level: f64) -> Option<Interval> {
        let (rmse, count) = error?;
        let open = self.fit.interval_at_end(schedule).map_or(0.0, |interval| 0.5 * (interval.high - interval.low));
        let reach = (student(level, count) * rmse).hypot(open);
        Some(Interval { low: loss - reach, high: loss + reach })
    }
}

/// Held-out minus training loss: at the ends of the branches, if there are any, because those are what is forecast;
/// otherwise along the trunk.
fn offset(tree: &Tree, used: &[&Branch], law: &MultiPowerLaw) -> Option<(f64, usize)> {
    let ends = used.iter().filter_map(|branch| Some(branch.loss? - law.predict_end(&branch.schedule)));
    let mut differences: Vec<f64> = ends.collect();
    if differences.is_empty() {
        let (steps, losses): (Vec<usize>, Vec<f64>) = tree.held_out.iter().copied().unzip();
        let predicted = law.predict(&tree.trunk.schedule, &steps);
        differences = losses.iter().zip(predicted).map(|(loss, predicted)| loss - predicted).collect();
    }
    let count = differences.len();
    (count > 0).then(|| (differences.iter().sum::<f64>() / count as f64, count))
}
