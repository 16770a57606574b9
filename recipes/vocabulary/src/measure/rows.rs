//! The rows behind a measurement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measurements::Measurements;
use super::name::MeasurementName;

/// The most rows behind one measurement. Where a loss is measured on more documents, a row stands for several.
pub const MAX_ROWS: usize = 4096;

/// The most measurements of one result that have rows.
pub const MAX_SETS_OF_ROWS: usize = crate::mixture::MAX_DOMAINS;

/// What a held-out document, or a few adjacent ones, add to a loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DocumentLoss {
    /// Sum of its tokens' losses.
    pub nats: f64,
    /// Its predicted tokens.
    pub tokens: u64,
    /// Bytes of text behind them.
    pub bytes: u64,
}

/// The rows of each measurement that has some: for the loss on held-out text, one row a document, in the same order for all
/// models that are measured on the same tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rows(BTreeMap<MeasurementName, Vec<DocumentLoss>>);

/// More rows than are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_ROWS} rows behind each of {MAX_SETS_OF_ROWS} measurements")]
pub struct TooManyRows;

impl Rows {
    /// No rows.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Collects rows from an untrusted source. If a name occurs twice, the last rows win.
    ///
    /// # Errors
    /// If there are too many.
    pub fn received(all: impl IntoIterator<Item = (MeasurementName, Vec<DocumentLoss>)>) -> Result<Self, TooManyRows> {
        let mut rows = Self::new();
        for (name, some) in all {
            if some.len() > MAX_ROWS {
                return Err(TooManyRows);
            }
            rows.set(name, some);
            if rows.0.len() > MAX_SETS_OF_ROWS {
                return Err(TooManyRows);
            }
        }
        Ok(rows)
    }

    /// Sets the rows behind a measurement.
    pub fn set(&mut self, name: impl Into<MeasurementName>, rows: Vec<DocumentLoss>) {
        self.0.insert(name.into(), rows);
    }

    /// The rows behind a measurement; `None` if it has none.
    #[must_use]
    pub fn get(&self, name: impl AsRef<str>) -> Option<&[DocumentLoss]> {
        self.0.get(name.as_ref()).map(Vec::as_slice)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and rows, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&MeasurementName, &[DocumentLoss])> + '_ {
        self.0.iter().map(|(name, rows)| (name, rows.as_slice()))
    }
}

/// What was measured together, and the rows behind it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    pub measurements: Measurements,
    pub rows: Rows,
}

impl From<Measurements> for Measured {
    fn from(measurements: Measurements) -> Self {
        Self { measurements, rows: Rows::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::VALIDATION_LOSS;
    use super::*;

    #[test]
    fn the_number_of_rows_is_bounded() {
        let row = DocumentLoss { nats: 1.0, tokens: 2, bytes: 3 };
        let rows = |count: usize| vec![row; count];
        let one = |count: usize| Rows::received([(VALIDATION_LOSS.into(), rows(count))]);
        assert_eq!(one(MAX_ROWS).expect("not too many").get(VALIDATION_LOSS).map(<[_]>::len), Some(MAX_ROWS));
        assert_eq!(one(MAX_ROWS + 1), Err(TooManyRows));
        let sets = |count: usize| Rows::received((0..count).map(|set| (VALIDATION_LOSS.part(set), rows(1))));
        assert!(sets(MAX_SETS_OF_ROWS).is_ok());
        assert_eq!(sets(MAX_SETS_OF_ROWS + 1), Err(TooManyRows));
    }
}
