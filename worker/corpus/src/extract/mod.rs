//! Extracts documents from files, one after another, and drops duplicates.

mod compression;
mod dedupe;
mod html;
mod json_lines;
mod parquet;
mod rust_page;
mod tokens;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::tokenizer::Tokenizer;
use compression::with_content;
use vocabulary::ContentHash;

pub use compression::Compression;
pub use dedupe::{Deduplicator, Kept};

/// A file's format, by its ending.
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
    /// ending.
    RustPage,
    /// One JSON object per line, each a document under a key; other keys are ignored.
    JsonLines,
    /// A table, each row a document in one of its columns.
    Parquet,
    /// Tokens as a `.npy`.
    NumpyTokens,
    /// Tokens behind a header of 256 numbers.
    HeadedTokens,
}

impl Format {
    /// The accepted endings, for messages.
    pub const ACCEPTED: &'static str = ".txt, .md, .html, .rs, .jsonl, .ndjson, .parquet, and .npy or .bin with tokens; all \
                                        but the last three also with .gz or .zst, and .json with one of these";

    /// The format of a path without compression, if its ending is accepted. The letters' case does not matter.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "md" => Some(Self::Markdown),
            "html" => Some(Self::Html),
            "rs" => Some(Self::Rust),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            "npy" => Some(Self::NumpyTokens),
            "bin" => Some(Self::HeadedTokens),
            _ => None,
        }
    }

    /// The format and the compression of a path, if they are accepted.
    #[must_use]
    pub fn with_compression(path: &Path) -> Option<(Self, Compression)> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        let compression = match ending.as_str() {
            "gz" => Compression::Gzip,
            "zst" => Compression::Zstandard,
            _ => return Some((Self::of(path)?, Compression::None)),
        };
        let inner = Path::new(path.file_stem()?);
        // What is compressed under this ending is one object per line; uncompressed, it is anything.
        let is_json = inner.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let format = if is_json { Self::JsonLines } else { Self::of(inner)? };
        let is_one_of_many = matches!(format, Self::Parquet | Self::NumpyTokens | Self::HeadedTokens);
        (!is_one_of_many).then_some((format, compression))
    }

    /// Whether a file is a document, which is not read piece by piece.
    #[must_use]
    pub fn is_one_document(self) -> bool {
        matches!(self, Self::Text | Self::Markdown | Self::Html | Self::Rust | Self::RustPage)
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

/// A document, before deduplication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extracted {
    /// Kept or dropped as a whole.
    Whole(String),
    /// Paragraphs that can be dropped one by one, because generated pages repeat each other's.
    Paragraphs(Vec<String>),
    /// Tokens, with the text that they stand for: as many bytes.
    Tokens { text: String, tokens: Vec<u32> },
}

impl Extracted {
    /// Bytes of text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Whole(text) | Self::Tokens { text, .. } => text.len(),
            Self::Paragraphs(paragraphs) => paragraphs.iter().map(String::len).sum(),
        }
    }
}

/// Takes documents, and says whether to read on.
pub type Emit<'a> = &'a mut dyn FnMut(Extracted) -> ControlFlow<()>;

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    pub decoding: Decoding,
    /// The key, or the column, that holds the text.
    pub text_key: &'a str,
    /// The tokenizer that ready tokens are of.
    pub tokenizer: Option<&'a Tokenizer>,
}

/// What a file held, besides its documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Documents.
    pub texts: u64,
    /// Lines and rows without a text.
    pub without_text: u64,
    /// What they held instead: keys, each with the kind of its value.
    pub keys: BTreeSet<String>,
    /// Hash of the file, if it was read from its beginning to its end.
    pub hash: Option<ContentHash>,
}

impl Found {
    /// Keys that are remembered.
    const KEYS: usize = 20;

    /// Counts a line without a text, and remembers its keys.
    fn add_without(&mut self, keys: Vec<String>) {
        self.without_text += 1;
        let room = Self::KEYS.saturating_sub(self.keys.len());
        self.keys.extend(keys.into_iter().take(room));
    }
}

/// A file whose text cannot be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not UTF-8.
    #[error("`{}` is not UTF-8 text (first bad byte at {offset})", path.display())]
    NotUtf8 {
        path: PathBuf,
        /// Byte offset of the first invalid byte.
        offset: u64,
    },
    /// A line of a `.jsonl` file is not JSON.
    #[error("line {line} of `{}` is not a JSON object", path.display())]
    JsonLine {
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    /// A `.parquet` file is damaged, or uses what is not supported.
    #[error("`{}` cannot be read as Parquet: {reason}", path.display())]
    Parquet {
        path: PathBuf,
        /// Message of the `parquet` crate.
        reason: String,
    },
    /// A row's text is not UTF-8.
    #[error("the text of row {row} of `{}` is not UTF-8", path.display())]
    Row {
        path: PathBuf,
        /// Row number, counted from 0 and without rows that have no text.
        row: u64,
    },
    /// A file of ready tokens cannot be used.
    #[error("`{}` cannot be used as tokens: {reason}", path.display())]
    Tokens {
        path: PathBuf,
        /// The problem, as a sentence.
        reason: String,
    },
}

/// A text longer than this, in bytes, is several documents, cut at the ends of lines.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Extracts the documents of a file, which need not fit into memory.
///
/// # Errors
/// Fails if the content does not match the format.
pub fn extract(
    path: &Path,
    format: Format,
    compression: Compression,
    how: How<'_>,
    emit: Emit<'_>,
) -> Result<Found, ExtractError> {
    let mut found = Found::default();
    if format == Format::Parquet {
        parquet::read(path, how.text_key, &mut found, emit)?;
        return Ok(found);
    }
    let read = |content: &mut dyn Read| -> Result<((), bool), Failure> {
        let to_end = match format {
            Format::JsonLines => json_lines::read(path, content, how.decoding, how.text_key, &mut found, emit)?,
            Format::NumpyTokens | Format::HeadedTokens => {
                tokens::read(path, format, content, how.tokenizer, &mut found, emit)?
            }
            Format::Text | Format::Markdown | Format::Rust => {
                plain_text(path, content, how.decoding, MAX_DOCUMENT_BYTES, &mut found, emit)?
            }
            Format::Html | Format::RustPage | Format::Parquet => {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                let page = decoded(path, without_mark(&bytes), how.decoding, 0)?;
                found.texts += 1;
                let extracted = match format {
                    Format::Html => Extracted::Paragraphs(html::paragraphs(&page)),
                    _ => Extracted::Whole(rust_page::code(&page)),
                };
                emit(extracted) == ControlFlow::Continue(())
            }
        };
        Ok(((), to_end))
    };
    match with_content(path, compression, read) {
        Ok(((), hash)) => Ok(Found { hash, ..found }),
        Err(Failure::Extract(error)) => Err(error),
        Err(Failure::Read(source)) => Err(ExtractError::Read { path: path.to_path_buf(), source }),
    }
}

/// Why a file was not read to its end.
enum Failure {
    Read(io::Error),
    Extract(ExtractError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        Self::Extract(error)
    }
}

/// Reads a text as one document, or as several if it is longer than `longest` bytes.
fn plain_text(
    path: &Path,
    content: &mut dyn Read,
    decoding: Decoding,
    longest: usize,
    found: &mut Found,
    emit: Emit<'_>,
) -> Result<bool, ExtractError> {
    let mut buffer = Vec::new();
    let mut offset = 0_u64;
    loop {
        let room = (longest + 1 - buffer.len()) as u64;
        let read = content.take(room).read_to_end(&mut buffer);
        read.map_err(|source| ExtractError::Read { path: path.to_path_buf(), source })?;
        let is_last = buffer.len() <= longest;
        if is_last && buffer.is_empty() && offset > 0 {
            return Ok(true);
        }
        let cut = if is_last { buffer.len() } else { end_of_text(&buffer) };
        let rest = buffer.split_off(cut);
        let bytes = if offset == 0 { without_mark(&buffer) } else { &buffer[..] };
        let text = decoded(path, bytes, decoding, offset)?;
        found.texts += 1;
        if emit(Extracted::Whole(unix_lines(&text))) == ControlFlow::Break(()) {
            return Ok(false);
        }
        if is_last {
            return Ok(true);
        }
        offset += cut as u64;
        buffer = rest;
    }
}

/// Where to cut a text that continues: after its last line, or between two characters.
fn end_of_text(bytes: &[u8]) -> usize {
    let is_start = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let line = bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
    // A character has up to four bytes.
    let character = || bytes.iter().rposition(is_start).filter(|&at| at > 0 && bytes.len() - at <= 4);
    line.or_else(character).unwrap_or(bytes.len())
}

/// Bytes as text. `offset` is where they begin in the file, for messages.
fn decoded<'a>(
    path: &Path,
    bytes: &'a [u8],
    decoding: Decoding,
    offset: u64,
) -> Result<std::borrow::Cow<'a, str>, ExtractError> {
    match (std::str::from_utf8(bytes), decoding) {
        (Ok(text), _) => Ok(text.into()),
        (Err(_), Decoding::Lossy) => Ok(String::from_utf8_lossy(bytes)),
        (Err(error), Decoding::Strict) => {
            let offset = offset + error.valid_up_to() as u64;
            Err(ExtractError::NotUtf8 { path: path.to_path_buf(), offset })
        }
    }
}

/// A file's content without a byte-order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Normalises line ends, which are a property of the machine a text was written on.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: How<'_> = How { decoding: Decoding::Strict, text_key: "text", tokenizer: None };

    fn all(format: Format, how: How<'_>, bytes: &[u8]) -> Result<(Vec<Extracted>, Found), ExtractError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).expect("writes");
        let mut documents = Vec::new();
        let found = extract(&path, format, Compression::None, how, &mut |document| {
            documents.push(document);
            ControlFlow::Continue(())
        })?;
        assert!(format == Format::Parquet || found.hash == Some(ContentHash::of(bytes)));
        Ok((documents, found))
    }

    fn wholes(texts: &[&str]) -> Vec<Extracted> {
        texts.iter().map(|&text| Extracted::Whole(text.to_owned())).collect()
    }

    #[test]
    fn endings_are_read_in_any_case_and_below_a_compression() {
        let of = |name: &str| Format::with_compression(Path::new(name));
        assert_eq!(of("a.TXT"), Some((Format::Text, Compression::None)));
        assert_eq!(of("a.b.jsonl.GZ"), Some((Format::JsonLines, Compression::Gzip)));
        assert_eq!(of("a.json.zst"), Some((Format::JsonLines, Compression::Zstandard)));
        assert_eq!(of("a.Parquet"), Some((Format::Parquet, Compression::None)));
        for name in ["a.json", "a.gz", "a.parquet.gz", "a.npy.zst", "a.pdf", "jsonl", "a.txt.xz"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn text_is_taken_as_it_is_but_for_marks_of_the_machine() {
        let (documents, _) = all(Format::Text, HOW, b"\xef\xbb\xbfone\r\ntwo").expect("is text");
        assert_eq!(documents, wholes(&["one\ntwo"]));
    }

    #[test]
    fn a_text_that_is_too_long_for_one_document_is_several() {
        let cut = |text: &str, longest| {
            let mut documents = Vec::new();
            let (mut content, mut found) = (text.as_bytes(), Found::default());
            let path = Path::new("file");
            let end = plain_text(path, &mut content, Decoding::Strict, longest, &mut found, &mut |document| {
                documents.push(document);
                ControlFlow::Continue(())
            });
            assert!(end.expect("is text"));
            documents
        };
        assert_eq!(cut("one\ntwo\nthree\n", 14), wholes(&["one\ntwo\nthree\n"]));
        assert_eq!(cut("one\ntwo\nthree\n", 13), wholes(&["one\ntwo\nthree\n"]));
        assert_eq!(cut("one\ntwo\nthree\n", 9), wholes(&["one\ntwo\n", "three\n"]));
        assert_eq!(cut("\u{e9}\u{e9}\u{e9}", 4), wholes(&["\u{e9}\u{e9}", "\u{e9}"]));
        assert_eq!(cut("", 4), wholes(&[""]));
    }

    #[test]
    fn every_line_of_json_is_a_document_and_odd_ones_are_counted() {
        let lines = "\u{feff}{\"text\": \"one\", \"meta\": {\"a\": NaN}}\r\n\n{\"text\": null, \"n\": 1}\n{\"text\": \"t\\u00e9\"}\n[1]\n";
        let (documents, found) = all(Format::JsonLines, HOW, lines.as_bytes()).expect("is JSON");
        assert_eq!(documents, wholes(&["one", "t\u{e9}"]));
        assert_eq!((found.texts, found.without_text), (2, 2));
        assert_eq!(found.keys.into_iter().collect::<Vec<_>>(), ["n (a number)", "text (null)"]);
        let (documents, _) =
            all(Format::JsonLines, How { text_key: "body", ..HOW }, b"{\"body\": \"b\"}").expect("is JSON");
        assert_eq!(documents, wholes(&["b"]));
        let error = all(Format::JsonLines, HOW, b"{\"text\": \"one\"}\n{").expect_err("is broken");
        assert!(matches!(error, ExtractError::JsonLine { line: 2, .. }), "{error}");
    }

    #[test]
    fn bad_bytes_are_refused_or_replaced() {
        assert!(matches!(all(Format::Text, HOW, b"abc\xff"), Err(ExtractError::NotUtf8 { offset: 3, .. })));
        let line = all(Format::JsonLines, HOW, b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}");
        assert!(matches!(line, Err(ExtractError::NotUtf8 { offset: 24, .. })), "{line:?}");
        let (documents, _) =
            all(Format::Text, How { decoding: Decoding::Lossy, ..HOW }, b"abc\xff").expect("is replaced");
        assert_eq!(documents, wholes(&["abc\u{fffd}"]));
    }

    fn parquet_file() -> Vec<u8> {
        use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
        use ::parquet::file::writer::SerializedFileWriter;
        use ::parquet::schema::parser::parse_message_type;

        let schema = "message rows { required int64 id; optional binary content (UTF8); }";
        let schema = std::sync::Arc::new(parse_message_type(schema).expect("is a schema"));
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).expect("begins");
        for texts in [&[Some("one"), None, Some("two\r\n")][..], &[Some("three")]] {
            let mut group = writer.next_row_group().expect("begins");
            let mut column = group.next_column().expect("begins").expect("is there");
            let ids: Vec<i64> = (0..texts.len() as i64).collect();
            column.typed::<Int64Type>().write_batch(&ids, None, None).expect("is written");
            column.close().expect("ends");
            let mut column = group.next_column().expect("begins").expect("is there");
            let values: Vec<ByteArray> = texts.iter().flatten().map(|text| ByteArray::from(*text)).collect();
            let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).expect("is written");
            column.close().expect("ends");
            group.close().expect("ends");
        }
        writer.close().expect("ends");
        bytes
    }

    #[test]
    fn every_row_of_a_parquet_column_is_a_document() {
        let bytes = parquet_file();
        let (documents, found) = all(Format::Parquet, How { text_key: "content", ..HOW }, &bytes).expect("is Parquet");
        assert_eq!(documents, wholes(&["one", "two\n", "three"]));
        assert_eq!((found.texts, found.without_text), (3, 1));
        let (documents, found) = all(Format::Parquet, HOW, &bytes).expect("is Parquet");
        assert_eq!((documents, found.texts), (Vec::new(), 0));
        assert_eq!(found.keys.into_iter().collect::<Vec<_>>(), ["content (text)", "id (no text)"]);
        assert!(matches!(all(Format::Parquet, HOW, &bytes[..90]), Err(ExtractError::Parquet { .. })));
    }

    fn numpy(descr: &str, tokens: &[u32]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({},), }}", tokens.len());
        header.push('\n');
        let numbers = tokens.iter().flat_map(|token| match descr {
            "<u2" => (*token as u16).to_le_bytes().to_vec(),
            _ => token.to_le_bytes().to_vec(),
        });
        let start = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
        start.into_iter().chain(numbers).collect()
    }

    fn headed(start: [u32; 3], tokens: &[u16]) -> Vec<u8> {
        let mut header = [0_u32; 256];
        header[..3].copy_from_slice(&start);
        let header = header.iter().flat_map(|number| number.to_le_bytes());
        header.chain(tokens.iter().flat_map(|token| token.to_le_bytes())).collect()
    }

    #[test]
    fn ready_tokens_are_documents_between_ends() {
        let tokenizer = Tokenizer::train(&["some words and some more words"], 270).expect("is trained");
        let how = How { tokenizer: Some(&tokenizer), ..HOW };
        let end = tokenizer.end_of_document();
        let [one, two] = ["some words", "\u{e9}"].map(|text| tokenizer.encode(text).expect("is lossless"));
        let stream = [&[end][..], &one, &[end, end], &two].concat();
        let expected = [("some words", &one), ("\u{e9}", &two)]
            .map(|(text, tokens)| Extracted::Tokens { text: text.to_owned(), tokens: tokens.clone() });
        let small: Vec<u16> = stream.iter().map(|&token| token as u16).collect();
        for (format, bytes) in [
            (Format::NumpyTokens, numpy("<u2", &stream)),
            (Format::NumpyTokens, numpy("<u4", &stream)),
            (Format::HeadedTokens, headed([20_240_520, 1, small.len() as u32], &small)),
        ] {
            assert_eq!(all(format, how, &bytes).expect("is read").0, expected, "{format:?}");
        }
        // Half of a character: the bytes still count.
        let half = all(Format::NumpyTokens, how, &numpy("<u2", &two[..1])).expect("is read").0;
        assert!(matches!(&half[..], [Extracted::Tokens { text, .. }] if text == "?"), "{half:?}");
        let refused = |format, how, bytes: &[u8], words: &str| {
            let error = all(format, how, bytes).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(Format::NumpyTokens, HOW, &numpy("<u2", &stream), "name its tokenizer.json");
        refused(Format::NumpyTokens, how, &numpy("<i8", &stream), "unsigned 16-bit or 32-bit");
        refused(Format::NumpyTokens, how, &numpy("<u2", &[1, 9_999]), "token 9999 at 1 is not one of");
        refused(
            Format::HeadedTokens,
            how,
            &small.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<_>>(),
            "no header",
        );
        refused(Format::HeadedTokens, how, &headed([20_240_520, 1, 99], &small), "ends before the 99 tokens");
        refused(Format::HeadedTokens, how, &headed([20_240_520, 1, 2], &small), "beyond the 2 tokens");
    }

    #[test]
    fn a_shard_of_more_than_eight_gigabytes_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("large.npy");
        let tokenizer = Tokenizer::train(&["some words and some more words"], 270).expect("is trained");
        let words = tokenizer.encode("some words").expect("is lossless");
        let mut bytes = numpy("<u2", &words);
        let count = (9_u64 << 30) / 2;
        // The header's length changes by the digits of the count.
        let header = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({count},), }}\n");
        bytes.splice(
            8..bytes.len() - 2 * words.len(),
            [&(header.len() as u16).to_le_bytes(), header.as_bytes()].concat(),
        );
        std::fs::write(&path, &bytes).expect("writes");
        let file = std::fs::File::options().write(true).open(&path).expect("opens");
        // A hole: the end of a document, over and over again.
        file.set_len(10 + header.len() as u64 + 2 * count).expect("is extended");
        let mut documents = Vec::new();
        let how = How { tokenizer: Some(&tokenizer), ..HOW };
        let found = extract(&path, Format::NumpyTokens, Compression::None, how, &mut |document| {
            documents.push(document);
            ControlFlow::Break(())
        });
        assert_eq!(documents, [Extracted::Tokens { text: "some words".to_owned(), tokens: words }]);
        assert_eq!(found.expect("is read").hash, None);
    }
}
