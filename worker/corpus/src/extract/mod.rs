//! Extracts documents from files and drops duplicates.

mod dedupe;
mod html;
mod rust_page;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use dedupe::{Deduplicated, Dropped, deduplicate};

/// A file's format, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Plain text, unchanged.
    Text,
    /// Markdown, unchanged.
    Markdown,
    /// HTML: the prose of its main part, without code blocks.
    Html,
    /// Rust: doc comments and code, unchanged.
    Rust,
    /// A page of Rust's own source, as rustdoc shows it: the code. Recognised by its place among the sources, not by an
    /// extension.
    RustPage,
    /// One JSON object per line, each a document under the key `text`; other keys are ignored.
    JsonLines,
}

impl Format {
    /// The accepted extensions, for messages.
    pub const ACCEPTED: &'static str = ".txt, .md, .html, .rs, .jsonl";

    /// The format of a path, if its extension is accepted.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "txt" => Some(Self::Text),
            "md" => Some(Self::Markdown),
            "html" => Some(Self::Html),
            "rs" => Some(Self::Rust),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Treatment of files that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// Refuse them: people should know what they train on.
    Strict,
    /// Replace invalid bytes by U+FFFD. For text that nobody picked by hand.
    Lossy,
}

/// The text of a document, before deduplication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extracted {
    /// Kept or dropped as a whole.
    Whole(String),
    /// Paragraphs that can be dropped one by one, because generated pages repeat each other's.
    Paragraphs(Vec<String>),
}

/// A file whose text cannot be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The file is not UTF-8.
    #[error("`{}` is not UTF-8 text (first bad byte at {offset})", path.display())]
    NotUtf8 {
        path: PathBuf,
        /// Byte offset of the first invalid byte.
        offset: usize,
    },
    /// A line of a `.jsonl` file is not an object with a string under `text`.
    #[error("line {line} of `{}` is not a JSON object with a string under \"text\"", path.display())]
    JsonLine {
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        #[source]
        source: serde_json::Error,
    },
}

/// Extracts the documents of a file: one, or one per line of `.jsonl`.
///
/// # Errors
/// Fails if the content does not match the format.
pub fn extract(
    format: Format,
    decoding: Decoding,
    path: &Path,
    bytes: Vec<u8>,
) -> Result<Vec<Extracted>, ExtractError> {
    let text = match (String::from_utf8(bytes), decoding) {
        (Ok(text), _) => text,
        (Err(error), Decoding::Lossy) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        (Err(error), Decoding::Strict) => {
            let offset = error.utf8_error().valid_up_to();
            return Err(ExtractError::NotUtf8 { path: path.to_path_buf(), offset });
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match format {
        Format::Text | Format::Markdown | Format::Rust => Ok(vec![Extracted::Whole(unix_lines(text))]),
        Format::Html => Ok(vec![Extracted::Paragraphs(html::paragraphs(text))]),
        Format::RustPage => Ok(vec![Extracted::Whole(rust_page::code(text))]),
        Format::JsonLines => json_lines(path, text),
    }
}

/// Normalises line ends, which are a property of the machine a text was written on.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn json_lines(path: &Path, text: &str) -> Result<Vec<Extracted>, ExtractError> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| match serde_json::from_str::<Line>(line) {
            Ok(line) => Ok(Extracted::Whole(unix_lines(&line.text))),
            Err(source) => Err(ExtractError::JsonLine { path: path.to_path_buf(), line: index + 1, source }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(format: Format, bytes: &[u8]) -> Result<Vec<Extracted>, ExtractError> {
        extract(format, Decoding::Strict, Path::new("file"), bytes.to_vec())
    }

    #[test]
    fn text_is_taken_as_it_is_but_for_marks_of_the_machine() {
        let expected = vec![Extracted::Whole("one\ntwo".to_owned())];
        assert_eq!(whole(Format::Text, b"\xef\xbb\xbfone\r\ntwo").expect("is text"), expected);
    }

    #[test]
    fn every_line_of_json_is_a_document() {
        let lines = "{\"text\": \"one\", \"meta\": {\"a\": 1}}\n\n{\"text\": \"t\\u00e9\"}\n";
        let expected = ["one", "té"].map(|text| Extracted::Whole(text.to_owned()));
        assert_eq!(whole(Format::JsonLines, lines.as_bytes()).expect("is JSON"), expected);
        for bad in ["{\"text\": \"one\"}\n{\"txt\": \"two\"}", "{}\n{", "{\"text\": \"a\"}\n{\"text\": 3}"] {
            let error = whole(Format::JsonLines, bad.as_bytes()).expect_err("is refused");
            assert!(matches!(error, ExtractError::JsonLine { line: 1 | 2, .. }), "{error}");
        }
    }

    #[test]
    fn bad_bytes_are_refused_or_replaced() {
        assert!(matches!(whole(Format::Text, b"abc\xff"), Err(ExtractError::NotUtf8 { offset: 3, .. })));
        let lossy = extract(Format::Text, Decoding::Lossy, Path::new("file"), b"abc\xff".to_vec());
        assert_eq!(lossy.expect("is replaced"), [Extracted::Whole("abc\u{fffd}".to_owned())]);
    }
}
