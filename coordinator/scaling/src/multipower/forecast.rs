//! The use in a campaign: what branches of a trunk come to that have not been run.
//!
//! The law is fitted to a trunk's curve and to those of its finished decays, B and C only: a few decays of one form do not
//! tell the exponents apart, and published ones are taken for those ([`Shape::PUBLISHED`]). Or it is fitted to the trunk
//! alone, with the decay term of another fit ([`Donor`]). Curves are of training losses, and a branch ends in a loss on
//! held-out text: the mean difference of the two, where both are known, is added.
//!
//! How well it does is never taken from the fit, but from finished branches forecast without their own curve and loss, or,
//! with a donor, from branches of which nothing was used. An interval is as wide as those errors and what the curves leave
//! open together say; with fewer than two errors there is none.

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
    /// What people call it.
    pub name: String,
    /// The learning rates of its whole run, from the trunk's first step.
    pub schedule: Schedule,
    /// Its own steps' points; empty where it has not been run.
    pub points: Vec<(usize, f64)>,
    /// The loss it ended with on held-out text, where it has ended.
    pub loss: Option<f64>,
}

/// A trunk and its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The trunk's curve.
    pub trunk: LossCurve,
    /// Losses on held-out text along the trunk, by steps done.
    pub held_out: Vec<(usize, f64)>,
    /// Its branches.
    pub branches: Vec<Branch>,
}

/// The decay term of another fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Donor {
    /// The term.
    pub decay: DecayTerm,
    /// Root of the mean squared error, nats, that it made at the branches of other trunks, and how many those were. `None`
    /// where it was tried on none.
    pub transfer: Option<(f64, usize)>,
}

/// Forecasts of the branches of a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecasts {
    /// The law behind them.
    pub fit: CurveFit,
    /// What is added to a training loss to have one on held-out text, nats, and the number of places it is the mean of.
    pub offset: (f64, usize),
    /// Each branch, in order.
    pub branches: Vec<Forecast>,
    /// How well finished branches were forecast without being seen. `None` where there are none to try it on.
    pub unseen: Option<Unseen>,
}

/// The forecast of one branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// What people call it.
    pub name: String,
    /// The loss on held-out text it comes to, nats, from nothing of its own.
    pub loss: f64,
    /// Of that; `None` with too few errors to tell.
    pub interval: Option<Interval>,
    /// What was measured, where it has been run.
    pub measured: Option<f64>,
}

/// Forecasts of finished branches against what was measured, nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unseen {
    /// How many.
    pub branches: usize,
    /// Mean of forecast minus measured.
    pub bias: f64,
    /// Root of the mean square.
    pub rmse: f64,
    /// The largest by its size.
    pub worst: f64,
}

/// Why a tree has no forecasts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// No finished decay, and no donor.
    #[error("no decay has finished, and a trunk alone says nothing of what a decay brings")]
    NothingDecayed,
    /// No loss on held-out text is known anywhere.
    #[error("no loss on held-out text is known yet, neither at the end of a stage of the trunk nor of a branch")]
    NoHeldOutLoss,
    /// The law has no fit.
    #[error("the curves have no multi-power law")]
    NoLaw(#[source] CurveError),
}

/// A decay is a tenth of its run or so, and has fewer points than the trunk in the same proportion or a little more.
const BRANCH_SHARE: usize = 4;
/// Draws are of the curves' stretches, and the interval is wider by the errors of forecasts: few are enough.
const LEAST_ERRORS: usize = 2;

/// Forecasts the branches of a tree.
///
/// # Errors
/// Where the tree has too little to forecast from.
pub fn forecast(tree: &Tree, donor: Option<&Donor>, options: &CurveOptions) -> Result<Forecasts, ForecastError> {
    let everything: Vec<bool> = tree.branches.iter().map(Branch::is_finished).collect();
    let whole = Forecaster::of(tree, &everything, None, donor, options)?;
    // A finished branch is forecast by what is left without it; with a donor nothing of any branch was used.
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

    /// The errors of forecasts and what the curves leave open, as if independent.
    fn interval(&self, loss: f64, schedule: &Schedule, error: Option<(f64, usize)>, level: f64) -> Option<Interval> {
        let (rmse, count) = error?;
        let open = self.fit.interval_at_end(schedule).map_or(0.0, |interval| 0.5 * (interval.high - interval.low));
        let reach = (student(level, count) * rmse).hypot(open);
        Some(Interval { low: loss - reach, high: loss + reach })
    }
}

/// Held-out minus training loss: at the ends of the branches, where there are some, because those are what is forecast;
/// along the trunk otherwise.
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
