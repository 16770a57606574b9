//! Decides what is held out, and in which order held-out text is measured.
//!
//! A document is one unit, and a long one is several: it is cut into blocks, so that a corpus of one file has held-out
//! text, and so that no book turns the loss into a measurement of itself. The hash of a unit's own text draws a number. The
//! units with the lowest numbers are held out, and measured in the order of their numbers: the first tokens of that order
//! are a random sample of all that is held out.

use std::ops::Range;

/// Documents longer than this, in bytes, are cut into blocks.
pub const LONG_DOCUMENT_BYTES: usize = 40_000;
/// Size of a block of a long document, in bytes, up to the end of its last line.
pub const BLOCK_BYTES: usize = 8_192;

/// The two parts of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Trained on.
    Train,
    /// Held out.
    Validation,
}

/// A document, or adjacent blocks of one, with its place in the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    pub text: &'a str,
    pub split: Split,
    /// Its place among what is held out: the lowest numbers are measured first. Of no use to what is trained on.
    pub draw: u64,
}

/// Assigns the parts of a document to splits by the seed and their own text alone, so that other documents can come and go
/// without moving them, and no text is in both. Adjacent blocks to train on stay together; each held-out block is a piece
/// of its own. Together the pieces are the document. At a fraction of 1, everything is held out.
#[must_use]
pub fn pieces_of(text: &str, validation_fraction: f64, seed: u64) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    // Where the last piece begins, if it is one to train on: the next block to train on prolongs it.
    let mut train = None;
    for block in blocks(text) {
        let draw = draw_of(&text[block.clone()], seed);
        if validation_fraction >= 1.0 || in_unit_interval(draw) < validation_fraction {
            train = None;
            pieces.push(Piece { text: &text[block], split: Split::Validation, draw });
        } else {
            if train.is_some() {
                pieces.pop();
            }
            let start = *train.get_or_insert(block.start);
            pieces.push(Piece { text: &text[start..block.end], split: Split::Train, draw: 0 });
        }
    }
    pieces
}

/// A number from a text and the seed.
pub(crate) fn draw_of(text: &str, seed: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("windtunnel 2026-11 train/validation split");
    hasher.update(&seed.to_le_bytes()).update(text.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A double holds 53 bits exactly: the draw is uniform in [0, 1).
fn in_unit_interval(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

/// A document that is not long is one block.
fn blocks(text: &str) -> Vec<Range<usize>> {
    if text.len() <= LONG_DOCUMENT_BYTES {
        return std::iter::once(0..text.len()).collect();
    }
    let mut blocks = Vec::with_capacity(text.len() / BLOCK_BYTES + 1);
    let mut start = 0;
    // The last block is up to twice as long: half a sentence would be a poor sample.
    while text.len() - start > 2 * BLOCK_BYTES {
        let end = start + end_of_block(&text[start..]);
        blocks.push(start..end);
        start = end;
    }
    blocks.push(start..text.len());
    blocks
}

/// The end of a line in the last quarter of a block, else that of a word, else that of a character.
fn end_of_block(text: &str) -> usize {
    let end = text.floor_char_boundary(BLOCK_BYTES);
    let from = text.floor_char_boundary(BLOCK_BYTES - BLOCK_BYTES / 4);
    let tail = &text[from..end];
    let at = tail.rfind('\n').map(|at| at + 1);
    let at = at.or_else(|| tail.char_indices().rfind(|(_, c)| c.is_whitespace()).map(|(at, c)| at + c.len_utf8()));
    at.map_or(end, |at| from + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_of(text: &str, fraction: f64, seed: u64) -> Split {
        let pieces = pieces_of(text, fraction, seed);
        assert_eq!(pieces.len(), 1, "a short document is whole");
        pieces[0].split
    }

    fn book(lines: usize) -> String {
        (0..lines).map(|line| format!("line {line} of a book that nobody has written yet\n")).collect()
    }

    #[test]
    fn about_the_asked_fraction_is_held_out() {
        let held_out = (0..20_000).filter(|i| split_of(&format!("document {i}"), 0.06, 0) == Split::Validation).count();
        assert!((1_000..1_400).contains(&held_out), "{held_out} of 20,000 at 6%");
    }

    #[test]
    fn a_larger_fraction_only_adds_and_keeps_the_order() {
        let order = |fraction: f64| {
            let texts: Vec<String> = (0..2_000).map(|i| format!("document {i}")).collect();
            let mut held_out: Vec<(u64, usize)> = Vec::new();
            for (number, text) in texts.iter().enumerate() {
                let piece = pieces_of(text, fraction, 1)[0];
                held_out.extend((piece.split == Split::Validation).then_some((piece.draw, number)));
            }
            held_out.sort_unstable();
            held_out
        };
        let (few, many) = (order(0.05), order(0.10));
        assert!(few.len() > 50 && many[..few.len()] == few);
    }

    #[test]
    fn another_seed_holds_out_others() {
        let held_out = |seed| {
            let is_held_out = |i: &i32| split_of(&format!("document {i}"), 0.1, seed) == Split::Validation;
            (0..2_000).filter(is_held_out).collect::<Vec<_>>()
        };
        assert_eq!(held_out(1), held_out(1));
        let (one, two) = (held_out(1), held_out(2));
        let common = one.iter().filter(|i| two.contains(i)).count();
        assert!(common < one.len() / 3, "{common} of {} are held out by both", one.len());
    }

    #[test]
    fn about_the_asked_fraction_of_one_long_document_is_held_out() {
        let book = book(22_000);
        let pieces = pieces_of(&book, 0.1, 0);
        let held_out: usize =
            pieces.iter().filter(|piece| piece.split == Split::Validation).map(|piece| piece.text.len()).sum();
        let share = held_out as f64 / book.len() as f64;
        assert!((0.03..0.20).contains(&share), "{share} of {} bytes", book.len());
        assert!(pieces.iter().all(|piece| piece.text.ends_with('\n')), "pieces end with a line");
        assert!(pieces_of(&book, 1.0, 0).iter().all(|piece| piece.split == Split::Validation));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_pieces_are_the_document(unit in "[a-zé \n]{1,9}", times in 1_usize..20_000, fraction in 0.0_f64..1.0, seed: u64) {
            let text = unit.repeat(times);
            let pieces = pieces_of(&text, fraction, seed);
            let together: String = pieces.iter().map(|piece| piece.text).collect();
            prop_assert_eq!(&together, &text);
            prop_assert!(pieces.iter().all(|piece| !piece.text.is_empty()));
            let held_out = pieces.iter().filter(|piece| piece.split == Split::Validation);
            for piece in held_out {
                prop_assert!(text.len() <= LONG_DOCUMENT_BYTES || piece.text.len() <= 2 * BLOCK_BYTES);
            }
        }
    }
}
