//! The coordinate check of Tensor Programs: how large activations are, and how far a few steps move them, over widths.
//!
//! Under scalings that are right, neither depends on the width; where one does, hyper-parameters found on a narrow model are
//! wrong for a wide one. [`observe()`] trains a model for its first steps and looks at it after each; [`slopes`] compares
//! widths.

mod observe;
mod scaling;

pub use observe::{CoordinateError, Observed, PROBE_TOKENS, Quantity, Size, observe};
pub use scaling::{Exponent, Measure, STABLE, Verdict, slopes};
