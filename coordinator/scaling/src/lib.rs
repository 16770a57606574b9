//! Scaling-law fits on plain tables.
//!
//! In goes a table of measured losses, one [`Point`] for each model trained to the end of its decay; out comes an
//! [`Analysis`]: the data-model scaling law of the MiniCPM paper (section 4.5),
//!
//! ```text
//! L(N, D) = C_N N^-alpha + C_D D^-beta + L0,
//! ```
//!
//! with intervals for its five parameters, the compute-optimal N and D at stated budgets, and the diagnostics a reader
//! needs before believing any of it.
//!
//! The crate knows no plans, no stores and no clock: numbers in, numbers out, and the same numbers whatever the number of
//! threads. Units are the caller's, with two conventions: N and D are in the same ones everywhere, and C = 6ND in their
//! product. Start with [`law`], then [`fit`](mod@fit), then [`analysis`].

pub mod analysis;
pub mod batch;
mod dense;
mod descent;
pub mod diagnostics;
pub mod envelope;
pub mod fit;
pub mod frontier;
pub mod interaction;
pub mod intervals;
pub mod isoflop;
pub mod law;
pub mod line;
mod monotone;
pub mod monotonicity;
pub mod multipower;
pub mod optimum;
pub mod point;
mod quantile;
mod resample;
pub mod single;
mod solver;
mod starts;
pub mod valley;
pub mod warning;

pub use analysis::{Analysis, AnalysisOptions, BudgetOptimum, Settings, analyse, analyse_law};
pub use diagnostics::{Diagnostics, HeldOut, Prediction, Residual};
pub use fit::{Fit, FitError, FitOptions, Objective, fit, fit_law};
pub use interaction::Interaction;
pub use intervals::{BootstrapOptions, Draws, Interval, Intervals};
pub use law::{FORM, Form, KaplanLaw, Law, Parameter, ScalingLaw, UnknownForm};
pub use line::PowerLine;
pub use monotonicity::{Monotonicity, Neighbours};
pub use optimum::{Optimum, default_budgets};
pub use point::Point;
pub use resample::GroupDraws;
pub use valley::{Through, Valley};
pub use warning::Warning;
