//! Why observations have no law.

use super::Form;

/// What keeps a form from being fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SingleError {
    /// A number that cannot be one.
    #[error("observation {index} has {quantity} = {value}: it must be finite and above zero")]
    BadObservation {
        /// Where in the list, counted from 0.
        index: usize,
        /// `x` or `y`.
        quantity: &'static str,
        /// What it holds.
        value: f64,
    },
    /// Fewer distinct x than it takes to have a residual.
    #[error("{found} distinct values of x: the form {form} needs at least {needed}")]
    TooFewValues {
        /// The form.
        form: Form,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// All y are equal.
    #[error("all values of y are equal: there is nothing to explain")]
    NoVariation,
    /// A form that falls to a floor, for something that does not fall.
    #[error("y does not fall with x: the form {form} cannot describe it")]
    NotFalling {
        /// The form.
        form: Form,
    },
    /// The threshold of Huber's function is no positive number.
    #[error("the Huber threshold is {delta}: it must be finite and above zero")]
    BadThreshold {
        /// What it was.
        delta: f64,
    },
    /// No descent reached a minimum.
    #[error("none of {starts} descents converged (relative gradient {gradient:.1e})")]
    NotConverged {
        /// How many were tried.
        starts: usize,
        /// The smallest relative gradient at the end of one.
        gradient: f64,
    },
}
