//! How the loss of one size falls with what is spent on it: a power of the operations or an exponential, section 4.3 of the
//! paper.

use scaling::single::{Comparison, Form, Observation, SingleOptions, compare};

use super::points::MeasuredPoint;

/// Amounts of data that two forms of three parameters can be told apart by.
const MIN_AMOUNTS: usize = 5;

/// Both forms fitted to the loss over C = 6ND; `None` where there are several sizes, or too few amounts of data.
pub(crate) fn compared(rows: &[&MeasuredPoint]) -> Option<Comparison> {
    let first = rows.first()?;
    let mut amounts: Vec<u64> = rows.iter().map(|point| point.d).collect();
    amounts.sort_unstable();
    amounts.dedup();
    if amounts.len() < MIN_AMOUNTS || rows.iter().any(|point| point.n != first.n) {
        return None;
    }
    let mut trunks: Vec<_> = rows.iter().map(|point| point.trunk).collect();
    trunks.sort_unstable();
    trunks.dedup();
    // In units of the least budget: an exponential of 1e12 operations has a rate that no one can read.
    let least = amounts[0] as f64;
    let observation = |point: &&MeasuredPoint| Observation {
        x: point.d as f64 / least,
        y: point.loss,
        group: trunks.binary_search(&point.trunk).unwrap_or_default(),
    };
    let observations: Vec<Observation> = rows.iter().map(observation).collect();
    compare(&observations, &[Form::PowerFloor, Form::ExponentialFloor], &SingleOptions::default()).ok()
}
