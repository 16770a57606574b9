//! Measurements.

use vocabulary::measure::{MAX_MEASUREMENTS, MAX_ROWS, MAX_SETS_OF_ROWS};
use vocabulary::{DocumentLoss, Measured, MeasurementName, Measurements, Rows};

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
        Self { measurements: sent_measurements(result), rows: Vec::new() }
    }
}

impl From<&Measured> for v1::StageResult {
    fn from(Measured { measurements, rows }: &Measured) -> Self {
        Self { measurements: sent_measurements(measurements), rows: sent_rows(rows) }
    }
}

/// Rows as they are sent.
#[must_use]
pub fn sent_rows(rows: &Rows) -> Vec<v1::MeasurementRows> {
    let sent = |(name, rows): (&MeasurementName, &[DocumentLoss])| v1::MeasurementRows {
        name: name.to_string(),
        nats: rows.iter().map(|row| row.nats).collect(),
        tokens: rows.iter().map(|row| row.tokens).collect(),
        bytes: rows.iter().map(|row| row.bytes).collect(),
    };
    rows.iter().map(sent).collect()
}

/// Rows as they arrive.
///
/// # Errors
/// If there are too many, lists differ in length, or a name is one that none can have. Values may be anything.
pub fn rows(field: &str, sent: Vec<v1::MeasurementRows>) -> Result<Rows, ConvertError> {
    let at_most = |field: String, count: usize, limit: usize| {
        if count > limit { Err(ConvertError::new(field, Problem::TooMany { count, limit })) } else { Ok(()) }
    };
    at_most(field.to_owned(), sent.len(), MAX_SETS_OF_ROWS)?;
    let mut rows = Rows::new();
    for (index, v1::MeasurementRows { name, nats, tokens, bytes }) in sent.into_iter().enumerate() {
        let within = |part: &str| format!("{field}[{index}].{part}");
        let name: MeasurementName =
            name.parse().map_err(|error| ConvertError::new(within("name"), Problem::MeasurementName(error)))?;
        at_most(within("nats"), nats.len(), MAX_ROWS)?;
        if tokens.len() != nats.len() || bytes.len() != nats.len() {
            return Err(ConvertError::new(within("tokens"), Problem::Missing));
        }
        let documents = nats.into_iter().zip(tokens).zip(bytes);
        rows.set(name, documents.map(|((nats, tokens), bytes)| DocumentLoss { nats, tokens, bytes }).collect());
    }
    Ok(rows)
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

impl TryFrom<v1::StageResult> for Measured {
    type Error = ConvertError;

    fn try_from(v1::StageResult { measurements: sent, rows: behind }: v1::StageResult) -> Result<Self, ConvertError> {
        Ok(Self { measurements: measurements("measurements", sent)?, rows: rows("rows", behind)? })
    }
}
