//! Fits scaling laws to plain tables.
//!
//! The input is a table of measured losses, one [`Point`] for each model trained to the end of its decay; the output is
//! an [`Analysis`]: the data-model scaling law of the MiniCPM paper (section 4.5),
//!
//! ```text
//! L(N, D) = C_N N^-alpha + C_D D^-beta + L0,
//! ```
//!
//! with intervals for its five parameters, the compute-optimal N and D at given budgets, and the diagnostics a reader
//! needs before believing any of it.
//!
//! The crate knows no plans, no stores and no clock: numbers in, numbers out, independent of the number of threads.
//! Units are the caller's, with two conventions: N and D have the same units everywhere, and C = 6ND is in their
//! product. Start with [`law`], then [`fit`](mod@fit), then [`analysis`].
//!
//! Other questions have laws of their own, each written at the top of its module: one variable ([`single`]), the batch
//! size ([`batch`](mod@batch)), compute-optimal frontiers ([`isoflop`], [`envelope`]), and loss curves over
//! learning-rate schedules ([`multipower`]).

pub mod analysis;
pub mod batch;
pub mod bootstrap;
pub mod budgets;
mod clustered;
pub mod cost;
mod dense;
mod descent;
pub mod diagnostics;
pub mod documents;
pub mod envelope;
pub mod fit;
mod floor;
pub mod frontier;
pub mod held_out;
pub mod importance;
pub mod interaction;
pub mod intervals;
pub mod isoflop;
pub mod law;
pub mod line;
mod monotone;
pub mod monotonicity;
pub mod multipower;
mod noise;
pub mod objective;
pub mod optimum;
pub mod outliers;
pub mod patterns;
pub mod point;
pub mod predictor;
mod quantile;
mod resample;
pub mod residual;
pub mod single;
mod solver;
mod starts;
mod units;
pub mod valley;
pub mod verdict;
pub mod warning;

pub use analysis::{Analysis, AnalysisOptions, Settings, analyse, analyse_law};
pub use bootstrap::{Bootstrap, Draws};
pub use budgets::default_budgets;
pub use cost::Cost;
pub use diagnostics::Diagnostics;
pub use documents::{Difference, Document, DocumentErrors, Documents, resample_documents};
pub use fit::{Fit, FitError, FitOptions, fit, fit_law};
pub use held_out::{HeldOut, LeftOut, Prediction};
pub use importance::importance;
pub use interaction::Interaction;
pub use intervals::{BootstrapOptions, Interval, Intervals, Method, Resample};
pub use law::{FORM, Form, KaplanLaw, Law, Parameter, ScalingLaw, UnknownForm};
pub use line::PowerLine;
pub use monotonicity::{Monotonicity, Neighbours};
pub use objective::Objective;
pub use optimum::Optimum;
pub use outliers::Outlier;
pub use patterns::{Group, Patterns};
pub use point::Point;
pub use predictor::{BudgetOptimum, Covariance, FAR, Predicted, Predictor};
pub use resample::GroupDraws;
pub use residual::Residual;
pub use valley::{Through, Valley};
pub use verdict::Undetermined;
pub use warning::Warning;
