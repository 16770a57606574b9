//! How the loss of one size falls with the compute spent on it: as a power or as an exponential (section 4.3 of the paper).

use scaling::single::{Comparison, Form, Observation, SingleOptions, compare};

use super::points::MeasuredPoint;

/// Distinct amounts of data needed to tell two three-parameter forms apart.
const MIN_AMOUNTS: usize = 5;

/// Both forms fitted to the loss over C = 6ND; `None` if there are several sizes or too few amounts of data.
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
    // In units of the smallest budget: the rate of an exponential in raw operations (1e12 and up) would be unreadable.
    let least = amounts[0] as f64;
    let observation = |point: &&MeasuredPoint| Observation {
        x: point.d as f64 / least,
        y: point.loss,
        group: trunks.binary_search(&point.trunk).unwrap_or_default(),
    };
    let observations: Vec<Observation> = rows.iter().map(observation).collect();
    compare(&observations, &[Form::PowerFloor, Form::ExponentialFloor], &SingleOptions::default()).ok()
}
