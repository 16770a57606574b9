//! The name of a measurement.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::metrics::Metric;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A measurement's name: its metric, followed by a slash and a part where a metric has several values. `validation_loss` and
/// `validation_loss/0` are names.
///
/// Names consist of lower-case letters, digits, `_`, `-`, `.` and `/`, and begin with a letter. The metric may be one that this
/// build does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasurementName(Cow<'static, str>);

/// A text that cannot name a measurement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` cannot name a measurement: a name has at most {MAX_NAME_BYTES} lower-case letters, digits and `_-./`, and \
     begins with a letter"
)]
pub struct InvalidName {
    /// The text without control characters, cut to 80.
    pub text: String,
}

impl MeasurementName {
    /// The part before the slash.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(metric, _)| metric)
    }

    /// The part after the slash; `None` for the metric as a whole.
    #[must_use]
    pub fn part(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, part)| part)
    }

    /// For people: the metric's words and the part, or the name itself if this build does not know the metric.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (Metric::of(self), self.part()) {
            (Some(metric), Some(part)) => format!("{} ({part})", metric.words),
            (Some(metric), None) => metric.words.to_owned(),
            (None, _) => self.0.clone().into_owned(),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_valid(text: &str) -> bool {
    let is_accepted = |letter: u8| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/');
    text.len() <= MAX_NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(is_accepted)
}

impl FromStr for MeasurementName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_valid(text) {
            return Ok(Self(Cow::Owned(text.to_owned())));
        }
        Err(InvalidName { text: text.chars().filter(|letter| !letter.is_control()).take(80).collect() })
    }
}

impl From<Metric> for MeasurementName {
    fn from(metric: Metric) -> Self {
        Self(Cow::Borrowed(metric.name))
    }
}

impl AsRef<str> for MeasurementName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for MeasurementName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeasurementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MeasurementName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MeasurementName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_metric_and_may_have_a_part() {
        let name = |text: &str| text.parse::<MeasurementName>().expect("a name");
        assert_eq!((name("validation_loss").metric(), name("validation_loss").part()), ("validation_loss", None));
        assert_eq!(
            (name("largest_update/qkv").metric(), name("largest_update/qkv").part()),
            ("largest_update", Some("qkv"))
        );
        assert_eq!(name("pass/k-1/easy").part(), Some("k-1/easy"));
        let in_words = ["validation_loss", "largest_update/qkv", "pass/k-1"].map(|text| name(text).in_words());
        assert_eq!(in_words, ["loss on held-out text", "largest update (qkv)", "pass/k-1"]);
    }

    #[test]
    fn what_cannot_be_a_column_a_path_or_a_line_is_refused() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for text in ["", "Loss", "0", "/a", "a b", "a,b", "a\"b", "a\nb", "\u{e9}", "a\u{e9}", long.as_str()] {
            let error = text.parse::<MeasurementName>().expect_err(text);
            assert!(!error.to_string().contains('\n'), "{error:?}");
        }
        assert!("a".repeat(MAX_NAME_BYTES).parse::<MeasurementName>().is_ok());
    }
}
