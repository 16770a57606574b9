//! The text in a file, whatever program wrote it.

/// Bytes that are not the text they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// UTF-16, which Excel calls Unicode text and PowerShell writes.
    #[error("its text is UTF-16: save it as UTF-8")]
    Utf16,
    /// UTF-16 with half a character.
    #[error("its text is UTF-16, and damaged")]
    DamagedUtf16,
    /// Another encoding.
    #[error("line {line} is not UTF-8 (perhaps Latin-1 or Windows-1252): save the file as UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
}

/// Reads UTF-8, and says which other encoding there is.
///
/// # Errors
/// The bytes are not UTF-8.
pub fn utf8(bytes: Vec<u8>) -> Result<String, NotText> {
    if is_utf16(&bytes) {
        return Err(NotText::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        NotText::NotUtf8 { line: 1 + sound.iter().filter(|byte| **byte == b'\n').count() }
    })
}

/// Reads UTF-8, or UTF-16 with a byte-order mark, without the mark.
///
/// # Errors
/// The bytes are neither.
pub fn text(bytes: Vec<u8>) -> Result<String, NotText> {
    let big = match bytes.get(..2) {
        Some([0xff, 0xfe]) => false,
        Some([0xfe, 0xff]) => true,
        _ => {
            let text = utf8(bytes)?;
            return Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text));
        }
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let unit = |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    let decoded: Result<String, _> = char::decode_utf16(pairs.iter().map(unit)).collect();
    decoded.ok().filter(|_| rest.is_empty()).ok_or(NotText::DamagedUtf16)
}

/// By its byte-order mark, or by zeros in every other byte, as in Latin letters.
fn is_utf16(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(64)];
    let zeros = |parity: usize| start.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count() * 2;
    matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
        || (start.len() >= 8 && (0..2).any(|parity| zeros(parity) * 4 >= start.len() * 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(words: &str, mark: bool, big: bool) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        let units = mark.into_iter().chain(words.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn a_byte_order_mark_tells_the_encoding() {
        for bytes in [utf16("loss é 𝄞", true, false), utf16("loss é 𝄞", true, true), "\u{feff}loss é 𝄞".into()]
        {
            assert_eq!(text(bytes).as_deref(), Ok("loss é 𝄞"));
        }
    }

    #[test]
    fn other_encodings_are_named() {
        assert_eq!(utf8(utf16("name = \"a\"", true, false)), Err(NotText::Utf16));
        assert_eq!(text(utf16("params,loss", false, true)), Err(NotText::Utf16));
        assert_eq!(text(vec![0xff, 0xfe, b'a']), Err(NotText::DamagedUtf16));
        assert_eq!(utf8(b"a\nb\xe9c".to_vec()), Err(NotText::NotUtf8 { line: 2 }));
        assert_eq!(utf8("a\u{0}b".into()).as_deref(), Ok("a\u{0}b"));
    }
}
