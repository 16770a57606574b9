//! Drops exact duplicates: whole documents everywhere, and paragraphs in generated pages.
//!
//! This must happen before the split. A text on both sides would turn the validation loss into a measure of
//! memorisation.

use std::collections::HashSet;

use rayon::prelude::*;
use vocabulary::Dropped;

use super::Extracted;

type Fingerprint = [u8; 16];

fn fingerprint(text: &str) -> Fingerprint {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    bytes
}

/// A document that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its text; not empty.
    pub text: String,
    /// Its tokens, if they were given.
    pub tokens: Option<Vec<u32>>,
}

/// Keeps the first occurrence of everything. It remembers 16 bytes of each document and paragraph.
#[derive(Debug, Default)]
pub struct Deduplicator {
    paragraphs: HashSet<Fingerprint>,
    documents: HashSet<Fingerprint>,
    /// What was removed so far.
    pub dropped: Dropped,
}

impl Deduplicator {
    /// Which of the next documents are kept, in order.
    #[must_use]
    pub fn keep(&mut self, extracted: Vec<Extracted>) -> Vec<Kept> {
        let fingerprints: Vec<Vec<Fingerprint>> = extracted
            .par_iter()
            .map(|document| match document {
                Extracted::Whole(_) | Extracted::Tokens { .. } => Vec::new(),
                Extracted::Paragraphs(paragraphs) => paragraphs.iter().map(|text| fingerprint(text)).collect(),
            })
            .collect();
        let mut documents = Vec::with_capacity(extracted.len());
        for (document, fingerprints) in extracted.into_iter().zip(fingerprints) {
            documents.push(match document {
                Extracted::Whole(text) => Kept { text, tokens: None },
                Extracted::Tokens { text, tokens } => Kept { text, tokens: Some(tokens) },
                Extracted::Paragraphs(paragraphs) => {
                    let before = paragraphs.len();
                    let own =
                        paragraphs.into_iter().zip(fingerprints).filter(|(_, hash)| self.paragraphs.insert(*hash));
                    let own: Vec<_> = own.map(|(text, _)| text).collect();
                    self.dropped.duplicate_paragraphs += (before - own.len()) as u64;
                    Kept { text: own.join("\n\n"), tokens: None }
                }
            });
        }
        let fingerprints: Vec<_> = documents.par_iter().map(|document| fingerprint(&document.text)).collect();
        let mut fingerprints = fingerprints.into_iter();
        documents.retain(|document| {
            let Some(hash) = fingerprints.next() else { return false };
            if document.text.trim().is_empty() {
                self.dropped.empty_documents += 1;
                false
            } else if !self.documents.insert(hash) {
                self.dropped.duplicate_documents += 1;
                false
            } else {
                true
            }
        });
        documents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_is_kept() {
        let whole = |text: &str| Extracted::Whole(text.to_owned());
        let page = |texts: &[&str]| Extracted::Paragraphs(texts.iter().map(|&text| text.to_owned()).collect());
        let all = [
            whole("a"),
            page(&["one", "two", "one"]),
            whole("a"),
            page(&["two", "three"]),
            page(&["one"]),
            whole(" \n"),
            Extracted::Tokens { text: "three".to_owned(), tokens: vec![3] },
            Extracted::Tokens { text: "four".to_owned(), tokens: vec![4] },
        ];
        // However many come at a time.
        for at_once in 1..=all.len() {
            let mut deduplicator = Deduplicator::default();
            let kept: Vec<_> = all.chunks(at_once).flat_map(|some| deduplicator.keep(some.to_vec())).collect();
            assert_eq!(
                kept.iter().map(|kept| kept.text.as_str()).collect::<Vec<_>>(),
                ["a", "one\n\ntwo", "three", "four"]
            );
            assert_eq!(kept[3].tokens, Some(vec![4]));
            let expected =
                Dropped { empty_documents: 2, duplicate_documents: 2, duplicate_paragraphs: 3, without_text: 0 };
            assert_eq!(deduplicator.dropped, expected);
        }
    }
}
