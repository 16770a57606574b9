//! Reads ready token shards: documents that are tokens already.
//!
//! - `.npy`: one dimension of unsigned 16-bit or 32-bit little-endian numbers.
//! - `.bin`: 256 little-endian 32-bit numbers, then the tokens. The first number is 20240520, the second the version, 1, and
//!   the third the count of tokens, which have 16 bits each; or they are 20240801, 7 and the count of tokens of 32 bits each.
//!
//! Documents end at the tokenizer's end-of-document token, wherever it stands: files may begin with one, too.

use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::{Emit, ExtractError, Extracted, Format, Found};
use crate::dataset::Header;
use crate::tokenizer::Tokenizer;

/// Bytes before the tokens of a `.bin`.
const BIN_HEADER: usize = 1024;
/// First and second number of a `.bin`, and the bytes of each token.
const BIN_KINDS: [(u32, u32, usize); 2] = [(20_240_520, 1, 2), (20_240_801, 7, 4)];
/// A document without an end is cut after this many tokens.
const LONGEST: usize = 1 << 22;
/// Tokens read at once.
const TOKENS_AT_ONCE: usize = 1 << 16;

/// Reads every document. Returns whether the end was reached.
pub(super) fn read(
    path: &Path,
    format: Format,
    content: &mut dyn Read,
    tokenizer: Option<&Tokenizer>,
    found: &mut Found,
    emit: Emit<'_>,
) -> Result<bool, ExtractError> {
    let unreadable = |source| ExtractError::Read { path: path.to_path_buf(), source };
    let refuse = |reason: String| ExtractError::Tokens { path: path.to_path_buf(), reason };
    let Some(tokenizer) = tokenizer else {
        return Err(refuse("its tokens need their own tokenizer: name its tokenizer.json as `tokenizer`".to_owned()));
    };
    let mut content = BufReader::with_capacity(1 << 16, content);
    let (width, len) = match format {
        Format::NumpyTokens => numpy_header(&mut content).map_err(unreadable)?.ok_or_else(|| {
            refuse("it is not an array of one dimension of unsigned 16-bit or 32-bit little-endian numbers".to_owned())
        })?,
        _ => bin_header(&mut content).map_err(unreadable)?.ok_or_else(|| {
            refuse(
                "it has no header that says how many tokens of how many bytes it holds (256 numbers of 32 bits: 20240520, \
                 1, count); a raw array becomes readable with numpy: \
                 np.save(\"tokens.npy\", np.memmap(\"tokens.bin\", dtype=np.uint16))"
                    .to_owned(),
            )
        })?,
    };
    let (vocab, end) = (tokenizer.vocab(), tokenizer.end_of_document());
    let mut document = Vec::new();
    let mut give = |document: &mut Vec<u32>, found: &mut Found| {
        if document.is_empty() {
            return ControlFlow::Continue(());
        }
        found.texts += 1;
        let tokens = std::mem::take(document);
        emit(Extracted::Tokens { text: text_of(&tokens, tokenizer), tokens })
    };
    let mut at = 0_u64;
    let mut bytes = vec![0; TOKENS_AT_ONCE * width];
    while at < len {
        let count = (len - at).min(TOKENS_AT_ONCE as u64) as usize;
        let bytes = &mut bytes[..count * width];
        content.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                refuse(format!("it ends before the {len} tokens that its header announces"))
            }
            _ => unreadable(error),
        })?;
        for number in bytes.chunks_exact(width) {
            let token = match *number {
                [a, b] => u32::from(u16::from_le_bytes([a, b])),
                [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
                _ => 0,
            };
            if token >= vocab {
                return Err(refuse(format!("token {token} at {at} is not one of the tokenizer's {vocab}")));
            }
            at += 1;
            if token != end {
                document.push(token);
            }
            if (token == end || document.len() == LONGEST) && give(&mut document, found) == ControlFlow::Break(()) {
                return Ok(false);
            }
        }
    }
    let is_more = content.read(&mut [0]).map_err(unreadable)? > 0;
    if is_more {
        return Err(refuse(format!("it goes beyond the {len} tokens that its header announces")));
    }
    Ok(give(&mut document, found) == ControlFlow::Continue(()))
}

/// Bytes per number and count of an array.
fn numpy_header(content: &mut impl Read) -> io::Result<Option<(usize, u64)>> {
    let mut start = vec![0; 10];
    content.read_exact(&mut start)?;
    // Headers of version 1 say how long they are in 16 bits; no other is that of a plain array.
    let rest = usize::from(u16::from_le_bytes([start[8], start[9]]));
    start.resize(10 + rest, 0);
    content.read_exact(&mut start[10..])?;
    Ok(Header::read(&start).map(|header| (header.width, header.len as u64)))
}

/// Bytes per token and count of tokens.
fn bin_header(content: &mut impl Read) -> io::Result<Option<(usize, u64)>> {
    let mut header = [0; BIN_HEADER];
    if let Err(error) = content.read_exact(&mut header) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let number = |index: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[4 * index + byte]));
    let kind = BIN_KINDS.iter().find(|(magic, version, _)| (number(0), number(1)) == (*magic, *version));
    Ok(kind.map(|(.., width)| (*width, u64::from(number(2)))))
}

/// The text of tokens. Bytes that are not UTF-8 become question marks, so that the text is as long as its bytes.
fn text_of(tokens: &[u32], tokenizer: &Tokenizer) -> String {
    let bytes: Vec<u8> = tokens.iter().flat_map(|&token| tokenizer.bytes(token)).copied().collect();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}
