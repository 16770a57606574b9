//! The passes over a corpus: one to train a tokenizer on, one to write tokens.

use std::io;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use vocabulary::Dropped;

use super::documents::{Batch, Reading};
use super::sample::Sample;
use super::{PrepareError, PrepareRequest};
use crate::dataset::{DatasetWriter, WriteError};
use crate::extract::{Deduplicator, Kept};
use crate::progress::{Progress, ProgressSink};
use crate::split::{Split, pieces_of};
use crate::tokenizer::{MAX_TRAINING_BYTES, Tokenizer, TokenizerError};

/// Pieces of each text that are trained on, and held out.
type Counts = Vec<[usize; 2]>;

/// What becomes of a document.
struct Placed {
    text: usize,
    source: u32,
    document: Kept,
    /// Together they are the document.
    parts: Vec<Part>,
}

/// What becomes of a piece of a document.
struct Part {
    range: Range<usize>,
    split: Split,
    draw: u64,
}

/// Which pieces of a text are held out.
fn parts_of(text: &str, request: &PrepareRequest) -> Vec<Part> {
    let mut end = 0;
    let pieces = pieces_of(text, request.validation_fraction, request.split_seed).into_iter();
    let part = pieces.map(|piece| {
        let start = end;
        end += piece.text.len();
        Part { range: start..end, split: piece.split, draw: piece.draw }
    });
    part.collect()
}

/// Tokens of a part of a document, which come from it or were given.
fn tokens_of(document: &Kept, range: &Range<usize>, tokenizer: &Tokenizer) -> Result<Vec<u32>, TokenizerError> {
    let Some(tokens) = &document.tokens else { return tokenizer.encode(&document.text[range.clone()]) };
    // A token that lies in two parts belongs to the one in which it begins.
    let mut at = 0;
    let of_range = tokens.iter().filter(|&&token| {
        let start = at;
        at += tokenizer.bytes(token).len();
        range.contains(&start) || (start == range.end && range.end == document.text.len())
    });
    Ok(of_range.copied().collect())
}

/// Reads a corpus once. Deduplicates across all texts: what occurs in two domains stays in the first, so that it is never
/// held out of one and trained on in the other.
fn pass(
    request: &PrepareRequest,
    reading: &Reading<'_>,
    progress: &(dyn Fn(u64, u64) + Sync),
    mut take: impl FnMut(Vec<Placed>) -> Result<(), PrepareError>,
) -> Result<(Counts, Dropped), PrepareError> {
    let mut deduplicator = Deduplicator::default();
    let mut counts = vec![[0, 0]; request.texts.len()];
    let without_text = reading.each_batch(progress, |Batch { text, source, documents }| {
        let kept = deduplicator.keep(documents);
        let place = |document: Kept| {
            let parts = parts_of(&document.text, request);
            Placed { text, source, document, parts }
        };
        let placed: Vec<Placed> = kept.into_par_iter().map(place).collect();
        for part in placed.iter().flat_map(|placed| &placed.parts) {
            counts[text][usize::from(part.split == Split::Validation)] += 1;
        }
        take(placed)
    })?;
    Ok((counts, Dropped { without_text, ..deduplicator.dropped }))
}

/// Fails if a text has nothing to train on, or nothing held out.
fn check_splits(request: &PrepareRequest, counts: &Counts) -> Result<(), PrepareError> {
    // All of it held out is text to evaluate on.
    let wants_train = request.validation_fraction < 1.0;
    for (text, &[trained, held_out]) in request.texts.iter().zip(counts) {
        if !wants_train && held_out == 0 {
            return Err(PrepareError::NoText);
        }
        if (wants_train && trained == 0) || held_out == 0 {
            return Err(PrepareError::EmptySplit { domain: text.domain.clone(), trained, held_out });
        }
    }
    Ok(())
}

/// Trains a tokenizer on a random sample of the training text of all domains, or on all of it if it is small. Returns the
/// bytes of all text, too.
pub(super) fn train(
    request: &PrepareRequest,
    reading: &Reading<'_>,
    vocab: u32,
    progress: ProgressSink<'_>,
) -> Result<(Tokenizer, u64), PrepareError> {
    let dir = &request.datasets_dir;
    let unwritable = |source| PrepareError::Write(WriteError::Write { path: dir.clone(), source });
    let mut sample = begin(dir).map_err(unwritable)?;
    let mut held_out = 0;
    let report = |done, total| progress(Progress::Extracting { done, total });
    let (counts, _) = pass(request, reading, &report, |placed| {
        for Placed { document, parts, .. } in placed {
            for Part { range, split, .. } in parts {
                match split {
                    Split::Train => sample.offer(&document.text[range]).map_err(unwritable)?,
                    Split::Validation => held_out += range.len() as u64,
                }
            }
        }
        Ok(())
    })?;
    check_splits(request, &counts)?;
    progress(Progress::TrainingTokenizer { bytes: sample.bytes() });
    let all = sample.offered() + held_out;
    let mut texts = sample.texts().map_err(unwritable)?;
    let tokenizer = Tokenizer::train(&mut texts, vocab).map_err(PrepareError::Tokenizer)?;
    texts.error().map_or(Ok((tokenizer, all)), |error| Err(unwritable(error)))
}

fn begin(dir: &Path) -> io::Result<Sample> {
    std::fs::create_dir_all(dir)?;
    Sample::new(dir, MAX_TRAINING_BYTES)
}

/// Tokenizes all documents into a dataset. `total` is about how many bytes of text there are.
pub(super) fn write(
    request: &PrepareRequest,
    reading: &Reading<'_>,
    tokenizer: &Tokenizer,
    total: u64,
    writer: &mut DatasetWriter<'_>,
    progress: ProgressSink<'_>,
) -> Result<Dropped, PrepareError> {
    let mut done = 0;
    progress(Progress::Tokenizing { done, total });
    let (counts, dropped) = pass(request, reading, &|_, _| {}, |placed| {
        let pieces: Vec<(&Placed, &Part)> =
            placed.iter().flat_map(|placed| placed.parts.iter().map(move |part| (placed, part))).collect();
        let encode = |(placed, part): &(&Placed, &Part)| tokens_of(&placed.document, &part.range, tokenizer);
        let encoded = pieces.par_iter().map(encode).collect::<Result<Vec<_>, _>>().map_err(PrepareError::Tokenizer)?;
        for ((placed, part), tokens) in pieces.iter().zip(encoded) {
            match part.split {
                Split::Train => writer.push_tokens_to(placed.text, part.split, &tokens),
                Split::Validation => writer.push_held_out(placed.text, &tokens, part.draw, placed.source),
            }
            .map_err(PrepareError::Write)?;
            done += part.range.len() as u64;
        }
        progress(Progress::Tokenizing { done: done.min(total), total });
        Ok(())
    })?;
    check_splits(request, &counts)?;
    progress(Progress::Tokenizing { done: total, total });
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_tokens_go_with_the_part_they_begin_in() {
        let tokenizer = Tokenizer::train(["some words and some more words, some words"], 275).expect("is trained");
        let text = "some words and some more words".to_owned();
        let tokens = tokenizer.encode(&text).expect("is lossless");
        let document = Kept { text, tokens: Some([&tokens[..], &[tokenizer.end_of_document()]].concat()) };
        for cut in 0..document.text.len() {
            let parts = [0..cut, cut..document.text.len()]
                .map(|range| tokens_of(&document, &range, &tokenizer).expect("are given"));
            assert_eq!(Some(parts.concat()), document.tokens, "no token is lost, at {cut}");
            let bytes = |tokens: &[u32]| tokens.iter().map(|&token| tokenizer.bytes(token).len()).sum::<usize>();
            let (before, longest) = (bytes(&parts[0]), tokens.iter().map(|&token| tokenizer.bytes(token).len()).max());
            assert!(before >= cut && before < cut + longest.unwrap_or(0).max(1), "{before} bytes before {cut}");
        }
    }
}
