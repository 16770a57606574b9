//! The coordinate check of Tensor Programs: how large activations are, and how far a few steps move them, across
//! widths.
//!
//! With the right scalings neither depends on the width; if one does, hyper-parameters found on a narrow model are
//! wrong for a wide one. [`observe()`] trains a model for a few steps and measures after each; [`slopes`] compares
//! widths.

mod observe;
mod scaling;

pub use observe::{CoordinateError, Observed, PROBE_TOKENS, Quantity, Size, observe};
pub use scaling::{Exponent, Measure, STABLE, Verdict, slopes};
