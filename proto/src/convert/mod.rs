//! The way between the messages that travel and the vocabulary. It is nowhere else.
//!
//! To the wire there is `From<&T>`, which cannot fail. From the wire there is `TryFrom`, which refuses a missing field, a
//! text that is not an identifier, and a stage whose key is not the hash of what it trains. Specs and plans travel as JSON,
//! which the vocabulary reads and checks. Every refusal names the path of the field: `stage.spec_json: is missing`.

mod attempt;
mod dataset;
mod evaluation;
mod measure;
mod place;
mod plan;
mod stage;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub use attempt::{attempt, attempts};
pub use evaluation::{evaluation_kind, work};
pub use measure::{measurements, rows, sent_measurements, sent_rows};
pub use plan::{plan, sent_plan};
pub use stage::spec;

use vocabulary::id::ParseIdError;
use vocabulary::measure::InvalidName;
use vocabulary::{InvalidLabel, SpecError, StageKey};

use crate::limits::{MAX_NAME_BYTES, MAX_REASON_BYTES, has_control_characters};

/// Why a message is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConvertError {
    /// The path of the field, from the message that was read, for example `stages[0].key`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It should be an identifier, and is not.
    #[error("{0}")]
    Id(ParseIdError),
    /// It has a value of an enumeration that this version does not know.
    #[error("{value} is not a known value of {of}")]
    Enum {
        /// The enumeration.
        of: &'static str,
        value: i32,
    },
    /// It is zero, or below.
    #[error("has to be above zero")]
    NotPositive,
    /// It ends before it begins, or does not fit its neighbours.
    #[error("{reason}")]
    Range {
        /// In words.
        reason: &'static str,
    },
    /// It should be JSON of a form that this version knows, and is not.
    #[error("is not understood by this version: {reason}")]
    Json {
        /// Of the parser. It names the first field or value that is not known.
        reason: String,
    },
    /// It is a spec that nothing can be trained with.
    #[error("{0}")]
    Spec(SpecError),
    /// It should be the name of a measurement, and is not.
    #[error("{0}")]
    MeasurementName(InvalidName),
    /// It should be a label, and is not.
    #[error("{0}")]
    Label(InvalidLabel),
    /// A stage's key does not follow from its spec and parent.
    #[error("the stage is named {derived} by this version: is the other side another version?")]
    Key {
        /// The key that follows.
        derived: StageKey,
    },
    /// It holds line ends, escapes or the like.
    #[error("holds control characters")]
    Control,
    /// It is too long.
    #[error("has {bytes} bytes, and {limit} are accepted")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The length that is accepted.
        limit: usize,
    },
    /// There are too many.
    #[error("has {count} entries, and {limit} are accepted")]
    TooMany {
        count: usize,
        /// How many are accepted.
        limit: usize,
    },
}

impl ConvertError {
    /// A refusal of one field.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    /// The same refusal, seen from the message that holds this one in `field`.
    #[must_use]
    pub fn within(self, field: &str) -> Self {
        Self { field: format!("{field}.{}", self.field), problem: self.problem }
    }
}

/// Reads a message field that has to be there.
///
/// # Errors
/// If it is missing, or is not sound.
pub fn required<W, T: TryFrom<W, Error = ConvertError>>(field: &str, value: Option<W>) -> Result<T, ConvertError> {
    let value = value.ok_or_else(|| ConvertError::new(field, Problem::Missing))?;
    T::try_from(value).map_err(|error| error.within(field))
}

/// Reads an identifier.
///
/// # Errors
/// If the text is not one, or is empty.
pub fn id<T: FromStr<Err = ParseIdError>>(field: &str, text: &str) -> Result<T, ConvertError> {
    if text.is_empty() {
        return Err(ConvertError::new(field, Problem::Missing));
    }
    text.parse().map_err(|error| ConvertError::new(field, Problem::Id(error)))
}

/// Reads an identifier that may be absent.
///
/// # Errors
/// If there is one, and it is not an identifier.
pub fn optional_id<T: FromStr<Err = ParseIdError>>(field: &str, text: Option<&str>) -> Result<Option<T>, ConvertError> {
    text.map(|text| id(field, text)).transpose()
}

/// Reads a list of identifiers; an error names the position in it.
///
/// # Errors
/// If one of them is not an identifier.
pub fn ids<T: FromStr<Err = ParseIdError>>(field: &str, texts: &[String]) -> Result<Vec<T>, ConvertError> {
    texts.iter().enumerate().map(|(index, text)| id(&format!("{field}[{index}]"), text)).collect()
}

/// Reads a name.
///
/// # Errors
/// As [`line()`].
pub fn name(field: &str, text: String) -> Result<String, ConvertError> {
    line(field, &text, MAX_NAME_BYTES)?;
    Ok(text)
}

/// Reads why something failed. It is for people and may come from anywhere: one that is too long is cut, not refused, and
/// what a terminal would act on is taken out of it.
#[must_use]
pub fn reason(text: &str) -> String {
    let is_shown = |letter: &char| !letter.is_control() || *letter == '\n';
    let mut reason: String = text.chars().filter(is_shown).collect();
    if reason.len() > MAX_REASON_BYTES {
        let end = (0..=MAX_REASON_BYTES).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}

/// Whether a text for people is a line.
///
/// # Errors
/// If it has more bytes than this, or holds what a terminal or a log would act on.
pub fn line(field: &str, text: &str, limit: usize) -> Result<(), ConvertError> {
    if text.len() > limit {
        return Err(ConvertError::new(field, Problem::TooLong { bytes: text.len(), limit }));
    }
    if has_control_characters(text) {
        return Err(ConvertError::new(field, Problem::Control));
    }
    Ok(())
}
