//! What is measured: a name and a number.
//!
//! A stage's result and what it records of each step are [`Measurements`]. Nothing between the trainer and the report (wire,
//! facts, store, tables, files) names a single measurement: it carries whichever there are and looks up units and words with
//! [`Metric::of`]. Adding a metric takes a constant in [`metrics`] and the code that measures it.

mod measurements;
pub mod metrics;
mod name;
mod rows;

pub use measurements::{MAX_MEASUREMENTS, Measurements, TooMany};
pub use metrics::{Direction, Metric};
pub use name::{InvalidName, MAX_NAME_BYTES, MeasurementName};
pub use rows::{DocumentLoss, MAX_ROWS, MAX_SETS_OF_ROWS, Measured, Rows, TooManyRows};
