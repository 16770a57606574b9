//! Recipe errors: one line that says where, what is wrong and what is accepted.

use std::io;

use vocabulary::encoding::NotText;

/// A recipe that is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("no file `{file}`: give the path of a recipe, for example `recipes/quickstart.toml`")]
    NoFile { file: String },
    #[error("{file}: the recipe cannot be read")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file}: the recipe cannot be read")]
    NotText {
        file: String,
        #[source]
        source: NotText,
    },
    #[error("{file}: {bytes} bytes; accepted: a recipe of at most {limit} bytes")]
    TooLarge {
        file: String,
        /// Size of the file.
        bytes: u64,
        /// Largest accepted size, in bytes.
        limit: u64,
    },
    #[error("{file}:{line}: not TOML: {reason}")]
    Syntax {
        file: String,
        /// Line number, counted from 1.
        line: usize,
        /// Message of the TOML parser.
        reason: String,
    },
    /// A key is wrong or missing.
    #[error("{file}:{line}: key `{key}`: {problem}; accepted: {accepted}")]
    Key {
        file: String,
        /// Line number of the key, or of the table that lacks it, counted from 1.
        line: usize,
        /// Path of the key from the root, such as `model.shapes[1].d_model`.
        key: String,
        /// Boxed, because errors are returned by value.
        problem: Box<Problem>,
        /// What would be accepted, in words.
        accepted: String,
    },
}

/// The problem with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The format has no such key.
    #[error("unknown{}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// A required key is missing.
    #[error("missing")]
    Missing,
    /// One value where a list is expected.
    #[error("is a list: write `{key} = [{value}]`")]
    NotAList {
        /// The last part of the key's path.
        key: String,
        /// The value, shortened to fit a line.
        value: String,
    },
    /// The value has the wrong type.
    #[error("is {found}")]
    WrongType {
        /// The actual type, with its article.
        found: String,
    },
    /// The value is outside the limits or not one of the choices.
    #[error("`{found}` is not accepted{}", did_you_mean(suggestion.as_deref()))]
    OutOfRange {
        /// The value, shortened to fit a line.
        found: String,
        /// The choice that was probably meant.
        suggestion: Option<String>,
    },
    /// The list or text is too long or too short.
    #[error("has {found} {unit}")]
    WrongLength {
        /// The actual length.
        found: usize,
        /// Unit of the length.
        unit: &'static str,
    },
    /// A list has a duplicate.
    #[error("{found} appears twice")]
    Duplicate { found: String },
    /// The value contradicts others.
    #[error("{reason}")]
    Conflict { reason: String },
}

/// A fault whose line has not been looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Path of the key from the root; empty for the root itself.
    pub(crate) key: String,
    pub(crate) problem: Problem,
    pub(crate) accepted: String,
}

impl Fault {
    pub(crate) fn new(key: impl Into<String>, problem: Problem, accepted: impl Into<String>) -> Self {
        Self { key: key.into(), problem, accepted: accepted.into() }
    }

    /// The same fault, for a recipe embedded in another at a path.
    pub(crate) fn under(self, path: &str) -> Self {
        let key = match (path, self.key.as_str()) {
            ("", key) | (key, "") => key.to_owned(),
            (path, key) => format!("{path}.{key}"),
        };
        Self { key, ..self }
    }

    pub(crate) fn conflict(key: impl Into<String>, reason: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self::new(key, Problem::Conflict { reason: reason.into() }, accepted)
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

/// The candidate nearest to a name, if near enough to be a misspelling.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let allowed = (name.chars().count() / 3).max(1) + 1;
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance: letters to insert, remove or replace to get from one word to the other.
fn edit_distance(a: &str, b: &str) -> usize {
    // Names are at most a line long, but a key in a file can be anything: its first 100 letters suffice.
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Formats a value for a message, on at most one line.
pub(crate) fn shown(value: &str) -> String {
    let mut line = String::new();
    for letter in value.chars().take(60) {
        // Except for these two, Unicode's line breaks are control characters.
        if letter.is_control() || "\u{2028}\u{2029}".contains(letter) {
            line.extend(letter.escape_debug());
        } else {
            line.push(letter);
        }
    }
    if value.chars().nth(60).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["sequences", "context", "micro_sequences", "lanes"];
        assert_eq!(nearest("sequnces", keys), Some("sequences".to_owned()));
        assert_eq!(nearest("contxet", keys), Some("context".to_owned()));
        assert_eq!(nearest("learning_rate", keys), None);
    }

    #[test]
    fn values_stay_on_their_line() {
        assert_eq!(shown("two\nlines"), "two\\nlines");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 61);
    }
}
