//! Searches, played out with losses that are formulas.

mod determinism;
mod finding;
mod play;
mod reading;
