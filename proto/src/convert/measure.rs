//! Measurements.

use vocabulary::measure::MAX_MEASUREMENTS;
use vocabulary::{MeasurementName, Measurements};

use super::{ConvertError, Problem};
use crate::v1;

/// Measurements as they are sent.
#[must_use]
pub fn sent_measurements(measurements: &Measurements) -> Vec<v1::Measurement> {
    let sent = |(name, value): (&MeasurementName, f64)| v1::Measurement { name: name.to_string(), value: Some(value) };
    measurements.iter().map(sent).collect()
}

/// Measurements as they arrive.
///
/// # Errors
/// If there are too many, or one has no value or a name that none can have. Values may be anything.
pub fn measurements(field: &str, sent: Vec<v1::Measurement>) -> Result<Measurements, ConvertError> {
    if sent.len() > MAX_MEASUREMENTS {
        let problem = Problem::TooMany { count: sent.len(), limit: MAX_MEASUREMENTS };
        return Err(ConvertError::new(field, problem));
    }
    let read = |(index, v1::Measurement { name, value }): (usize, v1::Measurement)| {
        let name = name
            .parse()
            .map_err(|error| ConvertError::new(format!("{field}[{index}].name"), Problem::MeasurementName(error)))?;
        let value = value.ok_or_else(|| ConvertError::new(format!("{field}[{index}].value"), Problem::Missing))?;
        Ok((name, value))
    };
    sent.into_iter().enumerate().map(read).collect()
}

impl From<&Measurements> for v1::StageResult {
    fn from(result: &Measurements) -> Self {
        Self { measurements: sent_measurements(result) }
    }
}

impl v1::StageResult {
    /// The value under a name; `None` where that was not measured.
    #[must_use]
    pub fn get(&self, name: impl AsRef<str>) -> Option<f64> {
        self.measurements.iter().find(|measured| measured.name == name.as_ref()).and_then(|measured| measured.value)
    }
}

impl TryFrom<v1::StageResult> for Measurements {
    type Error = ConvertError;

    fn try_from(result: v1::StageResult) -> Result<Self, ConvertError> {
        measurements("measurements", result.measurements)
    }
}
