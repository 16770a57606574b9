//! A set of measurements.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::metrics::Metric;
use super::name::MeasurementName;

/// The most measurements that are accepted for one step or one result.
pub const MAX_MEASUREMENTS: usize = 256;

/// Values that were measured together, by name, in the order of the names.
///
/// NaN and infinities are values. What was not measured has no entry. Two sets are equal if they have the same names and
/// values; here NaN equals NaN.
///
/// Serialises to a map from names to numbers, with the texts `NaN`, `inf` and `-inf` for values that JSON cannot express as
/// numbers. A `null` reads as not measured.
#[derive(Clone, Default)]
pub struct Measurements(BTreeMap<MeasurementName, f64>);

/// More than [`MAX_MEASUREMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_MEASUREMENTS} measurements")]
pub struct TooMany;

impl Measurements {
    /// No measurements.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Collects measurements from an untrusted source. If a name occurs twice, the last value wins.
    ///
    /// # Errors
    /// If there are too many.
    pub fn received(values: impl IntoIterator<Item = (MeasurementName, f64)>) -> Result<Self, TooMany> {
        let mut measurements = Self::new();
        for (name, value) in values {
            measurements.set(name, value);
            if measurements.len() > MAX_MEASUREMENTS {
                return Err(TooMany);
            }
        }
        Ok(measurements)
    }

    /// Sets the value under a name.
    pub fn set(&mut self, name: impl Into<MeasurementName>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Sets a value and returns the whole, for chaining.
    #[must_use]
    pub fn with(mut self, name: impl Into<MeasurementName>, value: f64) -> Self {
        self.set(name, value);
        self
    }

    /// The value under a name; `None` if it was not measured.
    #[must_use]
    pub fn get(&self, name: impl AsRef<str>) -> Option<f64> {
        self.0.get(name.as_ref()).copied()
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&MeasurementName, f64)> + '_ {
        self.0.iter().map(|(name, value)| (name, *value))
    }

    /// The parts of a metric with their values, in the order of the names.
    pub fn parts_of(&self, metric: Metric) -> impl Iterator<Item = (&str, f64)> + '_ {
        self.iter().filter(move |(name, _)| metric.is_of(name)).filter_map(|(name, value)| Some((name.part()?, value)))
    }

    /// A name under which two sets differ, with the value on each side (`None` on a side that lacks it). `None` if they are equal.
    #[must_use]
    pub fn difference<'a>(&'a self, other: &'a Self) -> Option<(&'a MeasurementName, [Option<f64>; 2])> {
        let only_there = other.0.keys().filter(|name| !self.0.contains_key(*name));
        let values = |name: &'a MeasurementName| (name, [self.get(name), other.get(name)]);
        let is_different = |(_, [here, there]): &(&MeasurementName, [Option<f64>; 2])| match (here, there) {
            (Some(here), Some(there)) => here != there && !(here.is_nan() && there.is_nan()),
            _ => true,
        };
        self.0.keys().chain(only_there).map(values).find(is_different)
    }

    /// Measurements of all metrics but these.
    pub fn besides<'a>(&'a self, metrics: &'a [Metric]) -> impl Iterator<Item = (&'a MeasurementName, f64)> + 'a {
        self.iter().filter(|(name, _)| !metrics.iter().any(|metric| metric.is_of(name)))
    }
}

impl FromIterator<(MeasurementName, f64)> for Measurements {
    fn from_iter<I: IntoIterator<Item = (MeasurementName, f64)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl PartialEq for Measurements {
    fn eq(&self, other: &Self) -> bool {
        self.difference(other).is_none()
    }
}

impl Eq for Measurements {}

impl fmt::Debug for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name.as_str(), value))).finish()
    }
}

const NOT_A_NUMBER: &str = "NaN";
const INFINITY: &str = "inf";
const MINUS_INFINITY: &str = "-inf";

/// A value in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Number(f64),
    #[serde(borrow)]
    Text(std::borrow::Cow<'a, str>),
}

impl Serialize for Measurements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| {
            let written = match value {
                value if value.is_finite() => Written::Number(value),
                value if value.is_nan() => Written::Text(NOT_A_NUMBER.into()),
                value if value > 0.0 => Written::Text(INFINITY.into()),
                _ => Written::Text(MINUS_INFINITY.into()),
            };
            (name, written)
        }))
    }
}

impl<'de> Deserialize<'de> for Measurements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Map)
    }
}

struct Map;

impl<'de> Visitor<'de> for Map {
    type Value = Measurements;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names of measurements to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measurements, A::Error> {
        let mut measurements = Measurements::new();
        while let Some(name) = map.next_key::<MeasurementName>()? {
            let value = match map.next_value::<Option<Written<'_>>>()? {
                None => continue,
                Some(Written::Number(value)) => value,
                Some(Written::Text(text)) => match text.as_ref() {
                    NOT_A_NUMBER => f64::NAN,
                    INFINITY => f64::INFINITY,
                    MINUS_INFINITY => f64::NEG_INFINITY,
                    _ => return Err(A::Error::custom(format_args!("`{name}` has no number"))),
                },
            };
            measurements.set(name, value);
            if measurements.len() > MAX_MEASUREMENTS {
                return Err(A::Error::custom(TooMany));
            }
        }
        Ok(measurements)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{HELD_OUT_LOSSES, LARGEST_UPDATE, VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
    use super::*;

    fn several() -> Measurements {
        Measurements::new()
            .with(VALIDATION_LOSS, 0.1 + 0.2)
            .with(VALIDATION_LOSS.part(1), f64::NAN)
            .with(VALIDATION_LOSS.part(0), f64::NEG_INFINITY)
            .with(LARGEST_UPDATE.part("qkv"), f64::INFINITY)
    }

    #[test]
    fn json_keeps_every_value_and_what_is_not_a_number() {
        let json = serde_json::to_string(&several()).expect("serialises");
        let expected = r#"{"largest_update/qkv":"inf","validation_loss":0.30000000000000004,"#.to_owned()
            + r#""validation_loss/0":"-inf","validation_loss/1":"NaN"}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Measurements>(&json).expect("parses"), several());
        let value = serde_json::to_value(several()).expect("serialises");
        assert_eq!(serde_json::from_value::<Measurements>(value).expect("parses"), several());
    }

    #[test]
    fn null_was_not_measured_and_texts_are_no_numbers() {
        let read = serde_json::from_str::<Measurements>;
        let nothing = read(r#"{"validation_loss":null,"validation_loss_per_byte":1}"#).expect("parses");
        assert_eq!(nothing, Measurements::new().with(VALIDATION_LOSS_PER_BYTE, 1.0));
        for refused in [r#"{"a":"1"}"#, r#"{"A":1}"#, r#"{"a":[]}"#, r#"[["a",1]]"#] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_nan_equals_a_nan_and_nothing_else() {
        assert_eq!(several(), several());
        let other = several().with(VALIDATION_LOSS.part(1), 1.0);
        let (name, values) =
            several().difference(&other).map(|(name, values)| (name.clone(), values)).expect("they differ");
        assert!(name == VALIDATION_LOSS.part(1) && values[0].is_some_and(f64::is_nan) && values[1] == Some(1.0));
        assert_ne!(several(), other);
        let more = several().with(VALIDATION_LOSS.part(2), 1.0);
        assert_eq!(several().difference(&more), Some((&VALIDATION_LOSS.part(2), [None, Some(1.0)])));
        assert_eq!(more.difference(&several()), Some((&VALIDATION_LOSS.part(2), [Some(1.0), None])));
    }

    #[test]
    fn parts_are_those_of_the_metric_alone() {
        let measured = several().with(VALIDATION_LOSS_PER_BYTE.part(0), 1.0);
        let parts: Vec<&str> = measured.parts_of(VALIDATION_LOSS).map(|(part, _)| part).collect();
        assert_eq!(parts, ["0", "1"]);
        assert_eq!(measured.get("validation_loss"), Some(0.1 + 0.2));
        assert_eq!(measured.get(VALIDATION_LOSS.part(7)), None);
        let rest: Vec<&str> = measured.besides(&HELD_OUT_LOSSES).map(|(name, _)| name.as_str()).collect();
        assert_eq!(rest, ["largest_update/qkv"]);
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let values = |count: usize| (0..count).map(|part| (LARGEST_UPDATE.part(part), 0.0));
        assert!(Measurements::received(values(MAX_MEASUREMENTS)).is_ok());
        assert_eq!(Measurements::received(values(MAX_MEASUREMENTS + 1)), Err(TooMany));
        let json = serde_json::to_string(&values(MAX_MEASUREMENTS + 1).collect::<Measurements>()).expect("serialises");
        assert!(serde_json::from_str::<Measurements>(&json).is_err());
    }
}
