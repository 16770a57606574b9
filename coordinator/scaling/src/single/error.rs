//! Why no law can be fitted to observations.

use super::Form;

/// Observations to which a form cannot be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SingleError {
    /// A number that is not positive and finite.
    #[error("observation {index} has {quantity} = {value}: it must be finite and above zero")]
    BadObservation {
        /// Index in the list, from 0.
        index: usize,
        /// `x` or `y`.
        quantity: &'static str,
        value: f64,
    },
    /// Too few distinct x to have residuals.
    #[error("{found} distinct values of x: the form {form} needs at least {needed}")]
    TooFewValues {
        form: Form,
        /// Number of distinct x.
        found: usize,
        /// Number needed.
        needed: usize,
    },
    /// All y are equal.
    #[error("all values of y are equal: a law has nothing to describe")]
    NoVariation,
    /// The form falls to a floor, but y does not fall.
    #[error("y does not fall with x: the form {form} cannot describe it")]
    NotFalling { form: Form },
    /// The threshold of Huber's function is not positive and finite.
    #[error("the Huber threshold is {delta}: it must be finite and above zero")]
    BadThreshold { delta: f64 },
    /// No descent reached a minimum.
    #[error("none of {starts} descents converged (relative gradient {gradient:.1e})")]
    NotConverged {
        /// Number of descents.
        starts: usize,
        /// Smallest relative gradient at the end of one.
        gradient: f64,
    },
}
