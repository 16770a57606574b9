//! Why curves have no law.

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A rate that cannot be one.
    #[error("the learning rate of step {step} is {value}: it must be finite and not negative")]
    BadRate {
        /// The step, counted from 0.
        step: usize,
        /// What it holds.
        value: f64,
    },
    /// No step after the warm-up has a learning rate above zero.
    #[error(
        "the schedule has {steps} steps, and none after the {warmup} of its warm-up has a learning rate above zero"
    )]
    NothingAfterWarmup {
        /// Steps it has.
        steps: usize,
        /// Steps of warm-up.
        warmup: usize,
    },
}

/// What keeps the law from being fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// A loss that cannot be one.
    #[error("curve {curve} has a loss of {value} after {step} steps: it must be finite and above zero")]
    BadLoss {
        /// The curve's name.
        curve: String,
        /// Steps done.
        step: usize,
        /// What it holds.
        value: f64,
    },
    /// A point before the end of the warm-up, beyond the schedule, or before the point that precedes it.
    #[error(
        "curve {curve} has a point after {step} steps: points ascend, after {warmup} steps of warm-up and up to the {steps} of the schedule"
    )]
    BadStep {
        /// The curve's name.
        curve: String,
        /// Steps done.
        step: usize,
        /// Steps of warm-up.
        warmup: usize,
        /// Steps of the schedule.
        steps: usize,
    },
    /// Fewer points than it takes to have residuals.
    #[error("{found} points for {parameters} parameters: at least {needed} are needed")]
    TooFewPoints {
        /// How many there are.
        found: usize,
        /// How many parameters are fitted.
        parameters: usize,
        /// How many there must be.
        needed: usize,
    },
    /// The points lie too close together to see a power law in them.
    #[error("the sums of learning rates span a factor of {factor:.2}: a power law needs at least {needed}")]
    NarrowRange {
        /// The factor from the least to the greatest.
        factor: f64,
        /// What it must be.
        needed: f64,
    },
    /// No curve sees its learning rate change, so that nothing says what a change does.
    #[error(
        "no curve has points after a change of its learning rate, so nothing says what a decay brings: give finished decays, or the decay term of another fit"
    )]
    NoDecay,
    /// All losses are equal.
    #[error("all losses are equal: there is nothing to explain")]
    NoVariation,
    /// No descent reached a minimum.
    #[error("none of {starts} descents converged (relative gradient {gradient:.1e})")]
    NotConverged {
        /// How many were tried.
        starts: usize,
        /// The smallest relative gradient at the end of one.
        gradient: f64,
    },
}
