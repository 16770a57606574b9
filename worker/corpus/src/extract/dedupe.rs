//! Drops exact duplicates: whole documents everywhere, and paragraphs in generated pages.
//!
//! This must happen before the split. A text on both sides would turn the validation loss into a measure of
//! memorisation.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Extracted;

/// The documents of a corpus, each text once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deduplicated {
    /// Non-empty texts, in the order of the files.
    pub documents: Vec<String>,
    /// For each document, the index of the original it is or is the rest of.
    pub origins: Vec<usize>,
    /// What was removed.
    pub dropped: Dropped,
}

/// Counts of what was removed from a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Documents without text, or without any text of their own.
    pub empty_documents: u64,
    /// Documents equal to an earlier one.
    pub duplicate_documents: u64,
    /// Paragraphs equal to an earlier one.
    pub duplicate_paragraphs: u64,
}

type Fingerprint = [u8; 16];

fn fingerprint(text: &str) -> Fingerprint {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    bytes
}

/// Keeps the first occurrence of everything.
#[must_use]
pub fn deduplicate(extracted: Vec<Extracted>) -> Deduplicated {
    let fingerprints: Vec<Vec<Fingerprint>> = extracted
        .par_iter()
        .map(|document| match document {
            Extracted::Whole(_) => Vec::new(),
            Extracted::Paragraphs(paragraphs) => paragraphs.iter().map(|text| fingerprint(text)).collect(),
        })
        .collect();
    let mut dropped = Dropped::default();
    let mut seen_paragraphs = HashSet::new();
    let mut texts = Vec::with_capacity(extracted.len());
    for (document, fingerprints) in extracted.into_iter().zip(fingerprints) {
        texts.push(match document {
            Extracted::Whole(text) => text,
            Extracted::Paragraphs(paragraphs) => {
                let before = paragraphs.len();
                let kept = paragraphs.into_iter().zip(fingerprints).filter(|(_, hash)| seen_paragraphs.insert(*hash));
                let kept: Vec<_> = kept.map(|(text, _)| text).collect();
                dropped.duplicate_paragraphs += (before - kept.len()) as u64;
                kept.join("\n\n")
            }
        });
    }
    let fingerprints: Vec<_> = texts.par_iter().map(|text| fingerprint(text)).collect();
    let mut seen_documents = HashSet::new();
    let mut documents = Vec::with_capacity(texts.len());
    let mut origins = Vec::with_capacity(texts.len());
    for (origin, (text, hash)) in texts.into_iter().zip(fingerprints).enumerate() {
        if text.trim().is_empty() {
            dropped.empty_documents += 1;
        } else if !seen_documents.insert(hash) {
            dropped.duplicate_documents += 1;
        } else {
            documents.push(text);
            origins.push(origin);
        }
    }
    Deduplicated { documents, origins, dropped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_is_kept() {
        let whole = |text: &str| Extracted::Whole(text.to_owned());
        let page = |texts: &[&str]| Extracted::Paragraphs(texts.iter().map(|&text| text.to_owned()).collect());
        let result = deduplicate(vec![
            whole("a"),
            page(&["one", "two", "one"]),
            whole("a"),
            page(&["two", "three"]),
            page(&["one"]),
            whole(" \n"),
        ]);
        assert_eq!(result.documents, ["a", "one\n\ntwo", "three"]);
        assert_eq!(result.origins, [0, 1, 3]);
        assert_eq!(result.dropped, Dropped { empty_documents: 2, duplicate_documents: 1, duplicate_paragraphs: 3 });
    }
}
