//! The curve predictor: the multi-power law of Luo and others (2025, arXiv 2503.12811), which says what the loss is at every
//! step of any learning-rate schedule.
//!
//! ```text
//! L(t)  = L0 + A S(t)^-alpha - LD(t)                  S(t) = sum of the learning rates of the first t steps
//! LD(t) = B sum_k (eta_{k-1} - eta_k) G(eta_k^-gamma S_k(t))     over the steps k after warm-up
//! G(x)  = 1 - (C x + 1)^-beta                         S_k(t) = sum of the learning rates of steps k to t
//! ```
//!
//! The first two terms are what a constant learning rate would reach with the same sum of learning rates; LD is what
//! lowering it has brought since. [`fit()`] fits the law to [`LossCurve`]s of some [`Schedule`]s and gives a [`CurveFit`];
//! [`MultiPowerLaw::predict`] says what another schedule comes to; [`Agreement::of`] says how well. A schedule that never
//! changes its rate says nothing of B, C, beta and gamma: [`Shape`] says which of them are fitted and which are given, and
//! a fit that lacks the curves for what it is to find is refused.
//!
//! [`forecast`](mod@forecast) is what campaigns use of it: what branches come to that have not been run.
//!
//! The sum over k has a term for every step at which the rate changes, and a curve of T steps would need T^2 of them.
//! Between two steps that are asked for, changes are taken together (a few bins, each at its centre), which is exact where
//! the rate is constant and off by less than a ten-thousandth of a nat elsewhere.

mod agreement;
mod error;
mod fit;
pub mod forecast;
mod law;
mod problem;
mod schedule;
mod starts;

pub use agreement::Agreement;
pub use error::{CurveError, ScheduleError};
pub use fit::{CurveFit, CurveIntervals, CurveOptions, fit};
pub use law::{DecayTerm, MultiPowerLaw, Shape};
pub use schedule::Schedule;

/// A measured loss curve, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct LossCurve {
    /// What people call it.
    pub name: String,
    /// The learning rates of its run, from the first step.
    pub schedule: Schedule,
    /// Steps done and the loss then, in ascending order of steps. It need not begin with the first step: a branch has its
    /// own steps only.
    pub points: Vec<(usize, f64)>,
}

impl LossCurve {
    /// The curve with at most so many points, each the mean of neighbours: stretches of equal width in log steps from the
    /// first point, so that the bend at the beginning keeps its shape.
    #[must_use]
    pub fn thinned(&self, points: usize) -> Self {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return self.clone() };
        if self.points.len() <= points || last.0 <= first.0 {
            return self.clone();
        }
        let ratio = (last.0 as f64 + 1.0) / (first.0 as f64 + 1.0);
        let stretch = |step: usize| {
            let place = ((step as f64 + 1.0) / (first.0 as f64 + 1.0)).ln() / ratio.ln();
            ((place * points as f64) as usize).min(points - 1)
        };
        let mean = |part: &[(usize, f64)]| {
            let count = part.len() as f64;
            let step = part.iter().map(|point| point.0 as f64).sum::<f64>() / count;
            (step.round() as usize, part.iter().map(|point| point.1).sum::<f64>() / count)
        };
        let parts = self.points.chunk_by(|a, b| stretch(a.0) == stretch(b.0));
        Self { points: parts.map(mean).collect(), ..self.clone() }
    }
}
