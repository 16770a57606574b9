//! Searches, simulated with losses given by formulas.

mod determinism;
mod finding;
mod play;
mod reading;
