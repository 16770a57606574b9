//! What branches come to that have not been run: a campaign's trunks and decays, as the curve predictor wants them.
//!
//! [`SizeTree::all`] reads them off a campaign, [`SizeTree::forecast`] asks the predictor, which is
//! `scaling::multipower::forecast`; [`donor()`] makes the decay term of one campaign's size usable for another's.

mod donor;
mod tree;

pub use donor::{DonorError, donor};
pub use scaling::multipower::forecast::{Donor, Forecast, ForecastError, Forecasts, Unseen};
pub use scaling::multipower::{CurveFit, CurveOptions};
pub use tree::{NoTree, PointError, SizeTree};
