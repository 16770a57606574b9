//! Reads JSON Lines: one object per line, with a document under one of its keys.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{Decoding, Emit, ExtractError, Extracted, Found, decoded, unix_lines};

/// Bytes of lines that are parsed at once, on all cores.
const BLOCK_BYTES: usize = 1 << 20;

/// Reads every document. Returns whether the end was reached.
pub(super) fn read(
    path: &Path,
    content: &mut dyn Read,
    decoding: Decoding,
    key: &str,
    found: &mut Found,
    emit: Emit<'_>,
) -> Result<bool, ExtractError> {
    let mut content = BufReader::with_capacity(1 << 16, content);
    let unreadable = |source| ExtractError::Read { path: path.to_path_buf(), source };
    let (mut lines_before, mut bytes_before) = (0, 0);
    loop {
        let mut block = Vec::new();
        let mut lines = Vec::new();
        while block.len() < BLOCK_BYTES {
            let start = block.len();
            if content.read_until(b'\n', &mut block).map_err(unreadable)? == 0 {
                break;
            }
            lines.push(start..block.len());
        }
        if lines.is_empty() {
            return Ok(true);
        }
        let parse = |(index, range): (usize, &std::ops::Range<usize>)| {
            let bytes = &block[range.clone()];
            let bytes = match bytes_before + range.start {
                0 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
                _ => bytes,
            };
            let line = decoded(path, bytes, decoding, (bytes_before + range.start) as u64)?;
            if line.trim().is_empty() {
                return Ok(None);
            }
            let line_number = lines_before + index + 1;
            let wrong = |source| ExtractError::JsonLine { path: path.to_path_buf(), line: line_number, source };
            parsed(line.trim(), key).map(Some).map_err(wrong)
        };
        let parsed: Vec<Option<Line>> = lines.par_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        for line in parsed.into_iter().flatten() {
            match line {
                Line::Text(text) => {
                    found.texts += 1;
                    if emit(Extracted::Whole(unix_lines(&text))) == ControlFlow::Break(()) {
                        return Ok(false);
                    }
                }
                Line::Without(keys) => found.add_without(keys),
            }
        }
        lines_before += lines.len();
        bytes_before += block.len();
    }
}

/// What a line holds.
#[derive(Debug, PartialEq)]
enum Line {
    /// A text under the key.
    Text(String),
    /// None: the keys that are there, each with the kind of its value.
    Without(Vec<String>),
}

/// Parses a line. Values under other keys are ignored, whatever they are.
fn parsed(line: &str, key: &str) -> Result<Line, serde_json::Error> {
    match value_under(line, key) {
        Ok(Value::String(text)) => Ok(Line::Text(text)),
        Ok(_) => Ok(Line::Without(keys_of(line))),
        Err(error) => {
            let repaired = repaired(line);
            match value_under(&repaired, key) {
                Ok(Value::String(text)) => Ok(Line::Text(text)),
                Ok(_) => Ok(Line::Without(keys_of(&repaired))),
                // Valid JSON, but not an object.
                Err(_) if serde_json::from_str::<IgnoredAny>(&repaired).is_ok() => Ok(Line::Without(Vec::new())),
                Err(_) => Err(error),
            }
        }
    }
}

/// The value under a key of an object, or under a path of keys with dots between them; null if there is none.
fn value_under(line: &str, key: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let (literal, nested) = Seed { key }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    if let Some(value) = literal {
        return Ok(value);
    }
    let rest = key.split('.').skip(1);
    Ok(rest
        .fold(nested.unwrap_or_default(), |mut value, part| value.get_mut(part).map(Value::take).unwrap_or_default()))
}

struct Seed<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    /// The value under the very key, and that under its first part.
    type Value = (Option<Value>, Option<Value>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = (Option<Value>, Option<Value>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let head = self.key.split_once('.').map(|(head, _)| head);
        let (mut literal, mut nested) = (None, None);
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.key {
                literal = Some(map.next_value()?);
            } else if Some(&*name) == head {
                nested = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok((literal, nested))
    }
}

fn keys_of(line: &str) -> Vec<String> {
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { return Vec::new() };
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    object.iter().take(20).map(|(key, value)| format!("{key} ({})", kind(value))).collect()
}

/// A line without what Python writes and JSON does not know: NaN and Infinity become null, halves of characters U+FFFD.
fn repaired(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        if !in_string && let Some(name) = ["NaN", "Infinity", "-Infinity"].iter().find(|name| rest.starts_with(*name)) {
            text.push_str("null");
            rest = &rest[name.len()..];
            continue;
        }
        let length = match next {
            '\\' if in_string => match unit(rest) {
                Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => 12,
                Some(0xd800..=0xdfff) => {
                    text.push_str("\\ufffd");
                    rest = &rest[6..];
                    continue;
                }
                Some(_) => 6,
                None => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            },
            '"' => {
                in_string = !in_string;
                1
            }
            _ => next.len_utf8(),
        };
        text.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    text
}

/// The number of an escape `\uXXXX` at the start of a text.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_keys_do_not_matter() {
        let text = |line: &str| parsed(line, "text").expect(line);
        let expected = Line::Text("a\u{e9} NaN".to_owned());
        for line in [
            r#"{"text": "a\u00e9 NaN"}"#,
            r#"{"a": NaN, "text": "a\u00e9 NaN", "b": [Infinity, -Infinity], "c": "\"NaN"}"#,
            r#"{"text": "first", "x": 1e999, "text": "a\u00e9 NaN"}"#,
            r#"{"emoji": "\ud83d", "text": "a\u00e9 NaN", "pair": "\ud83d\ude00"}"#,
        ] {
            assert_eq!(text(line), expected, "{line}");
        }
        assert_eq!(text(r#"{"text": "x\ud83d"}"#), Line::Text("x\u{fffd}".to_owned()));
        let without = |keys: &[&str]| Line::Without(keys.iter().map(|&key| key.to_owned()).collect());
        assert_eq!(text(r#"{"text": null, "n": 3}"#), without(&["n (a number)", "text (null)"]));
        assert_eq!(text(r#"{"text": ["a", "b"]}"#), without(&["text (a list)"]));
        assert_eq!(text(r#"["text"]"#), without(&[]));
        for broken in [r#"{"text": "a""#, "text", r#"{"text": "a"} {}"#, "{'text': 1}"] {
            parsed(broken, "text").expect_err(broken);
        }
    }

    #[test]
    fn keys_may_lead_into_objects() {
        let line = r#"{"data": {"text": "deep"}, "a.b": "flat", "a": {"b": "deep"}}"#;
        assert_eq!(parsed(line, "data.text").expect("reads"), Line::Text("deep".to_owned()));
        assert_eq!(parsed(line, "a.b").expect("reads"), Line::Text("flat".to_owned()));
        assert!(matches!(parsed(line, "data.none").expect("reads"), Line::Without(_)));
    }
}
