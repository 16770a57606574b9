//! Why no law can be fitted to curves.

/// A malformed schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A learning rate that is negative or not finite.
    #[error("the learning rate of step {step} is {value}: it must be finite and not negative")]
    BadRate {
        /// Index of the step, from 0.
        step: usize,
        value: f64,
    },
    /// No step after the warm-up has a positive learning rate.
    #[error(
        "the schedule has {steps} steps, and none after the {warmup} of its warm-up has a learning rate above zero"
    )]
    NothingAfterWarmup {
        /// Number of steps.
        steps: usize,
        /// Number of warm-up steps.
        warmup: usize,
    },
}

/// Curves that have no law.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// A loss that is not positive and finite.
    #[error("curve {curve} has a loss of {value} after {step} steps: it must be finite and above zero")]
    BadLoss {
        /// Name of the curve.
        curve: String,
        /// Steps done.
        step: usize,
        value: f64,
    },
    /// A point before the end of the warm-up, beyond the schedule, or out of order.
    #[error(
        "curve {curve} has a misplaced point after {step} steps: points must be in order, between the {warmup} steps of warm-up and the schedule's {steps} steps"
    )]
    BadStep {
        /// Name of the curve.
        curve: String,
        /// Steps done.
        step: usize,
        /// Number of warm-up steps.
        warmup: usize,
        /// Number of steps in the schedule.
        steps: usize,
    },
    /// Too few points to have residuals.
    #[error("{found} points for {parameters} parameters: at least {needed} are needed")]
    TooFewPoints {
        /// Number of points.
        found: usize,
        /// Number of fitted parameters.
        parameters: usize,
        /// Number of points needed.
        needed: usize,
    },
    /// The points span too short a range for a power law.
    #[error("the sums of learning rates span a factor of {factor:.2}: a power law needs at least {needed}")]
    NarrowRange {
        /// Ratio of the largest to the smallest sum of learning rates.
        factor: f64,
        /// Ratio needed.
        needed: f64,
    },
    /// No curve shows the effect of a change of the learning rate.
    #[error(
        "no curve has points after a change of its learning rate, so the effect of a decay is unknown: add finished decays, or the decay term of another fit"
    )]
    NoDecay,
    /// All losses are equal.
    #[error("all losses are equal: a law has nothing to describe")]
    NoVariation,
    /// No descent reached a minimum.
    #[error("none of {starts} descents converged (relative gradient {gradient:.1e})")]
    NotConverged {
        /// Number of descents.
        starts: usize,
        /// Smallest relative gradient at the end of one.
        gradient: f64,
    },
}
