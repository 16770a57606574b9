//! Predicts loss curves: the multi-power law of Luo and others (2025, arXiv 2503.12811) gives the loss at every step of
//! any learning-rate schedule.
//!
//! ```text
//! L(t)  = L0 + A S(t)^-alpha - LD(t)                  S(t) = sum of the learning rates of the first t steps
//! LD(t) = B sum_k (eta_{k-1} - eta_k) G(eta_k^-gamma S_k(t))     over the steps k after warm-up
//! G(x)  = 1 - (C x + 1)^-beta                         S_k(t) = sum of the learning rates of steps k to t
//! ```
//!
//! The first two terms are what a constant learning rate would reach with the same sum of learning rates; LD is what
//! lowering it has brought since. [`fit()`] fits the law to [`LossCurve`]s of some [`Schedule`]s and returns a
//! [`CurveFit`]; [`MultiPowerLaw::predict`] predicts another schedule; [`Agreement::of`] measures how well. A schedule
//! whose rate never changes carries no information about B, C, beta and gamma: [`Shape`] selects which of them are
//! fitted and which are given, and a fit without the curves it needs is refused.
//!
//! Campaigns use [`forecast`](mod@forecast): the losses of branches that have not been run.
//!
//! The sum over k has a term for every step at which the rate changes, so a curve of T steps would need T^2 of them.
//! Between two requested steps, changes are therefore grouped (into a few bins, each at its centre), which is exact
//! where the rate is constant and off by less than a ten-thousandth of a nat elsewhere.

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

/// A measured loss curve, or part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct LossCurve {
    /// Name, for display.
    pub name: String,
    /// Learning rates of its run, from the first step.
    pub schedule: Schedule,
    /// Steps done and loss, in ascending order of steps. A branch has only its own steps, so it need not begin with the
    /// first.
    pub points: Vec<(usize, f64)>,
}

impl LossCurve {
    /// Thins the curve to at most this many points, each the mean of its neighbours: stretches of equal width in log
    /// steps from the first point, so that the bend at the beginning keeps its shape.
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
