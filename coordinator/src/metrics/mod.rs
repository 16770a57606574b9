//! The coordinator as Prometheus sees it: counts and states in the text format, over HTTP.
//!
//! [`Exposition`] writes the format, [`render()`] says which metrics there are, and [`MetricsDoor`] answers `GET /metrics`. Numbers
//! come from one look at the driver's state and from its [counters](crate::counters); nothing is collected between two
//! requests.
//!
//! The number of series is bounded: states, endings and bounds of durations are fixed, workers are counted by state, and only
//! [`MOST_CAMPAIGNS`] campaigns have series of their own.

mod exposition;
mod http;
mod render;

use exposition::Exposition;
pub(crate) use http::{MetricsDoor, PATH};
use render::render;

/// Campaigns with series of their own: open ones first, then those submitted last.
const MOST_CAMPAIGNS: usize = 100;
