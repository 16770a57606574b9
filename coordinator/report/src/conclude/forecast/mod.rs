//! Forecasts of branches: a campaign's trunks and decays in the form the curve predictor expects.
//!
//! [`SizeTree::all`] extracts them from a campaign, [`SizeTree::forecast`] calls the predictor,
//! `scaling::multipower::forecast`; [`donor()`] makes the decay term of one campaign's size usable for another's.

mod donor;
mod tree;

pub use donor::{DonorError, donor};
pub use scaling::multipower::forecast::{Donor, Forecast, ForecastError, Forecasts, Unseen};
pub use scaling::multipower::{CurveFit, CurveOptions};
pub use tree::{NoTree, PointError, SizeTree};
