//! Measurements of the steps of a curve, taken apart into the series that tables hold, and put together again.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::MeasurementName;

use super::columns::{damaged, from_column, measured_from_column};
use super::error::StoreError;
use super::rows::CurvePoint;

pub(super) const TABLE: &str = "curve_series";

/// The names that points have measurements of.
pub(super) fn names(points: &[CurvePoint]) -> Vec<&str> {
    let names = points.iter().flat_map(|point| point.measurements.iter()).map(|(name, _)| name.as_str());
    names.collect::<BTreeSet<&str>>().into_iter().collect()
}

/// The values of points as series, step and value, by `name, id` of the series: series by series, which is the order of the
/// table.
pub(super) fn values(series: &[(String, i64)], points: &[CurvePoint]) -> Vec<(i64, u64, f64)> {
    let numbers: BTreeMap<&str, i64> = series.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    let of = |(name, number): (&str, i64)| {
        let value = |point: &CurvePoint| Some((number, point.step, point.measurements.get(name)?));
        points.iter().filter_map(value).collect::<Vec<_>>()
    };
    numbers.into_iter().flat_map(of).collect()
}

/// A series' name.
pub(super) fn name(text: &str) -> Result<MeasurementName, StoreError> {
    text.parse().map_err(|error| damaged(TABLE, format!("`{text}` names no measurement: {error}")))
}

/// Puts `step, value` of a series into points, which are in the order of their steps.
pub(super) fn join(points: &mut [CurvePoint], name: &MeasurementName, values: Vec<(i64, Option<f64>)>) {
    for (step, value) in values {
        if let Ok(place) = points.binary_search_by_key(&from_column(step), |point| point.step) {
            points[place].measurements.set(name.clone(), measured_from_column(value));
        }
    }
}
