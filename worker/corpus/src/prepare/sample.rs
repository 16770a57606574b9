//! The text that a tokenizer is trained on: all of a corpus, or a random sample of a large one.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// A random sample of texts, each as likely as any other of its length, by a hash of the text alone: neither the order of
/// the texts nor the number of domains matters.
///
/// Texts are kept in a nameless file. The ones with the lowest hashes count, as many as fit; what is displaced by a later
/// one stays in the file and is skipped at the end.
#[derive(Debug)]
pub(super) struct Sample {
    limit: u64,
    /// Bytes of all texts.
    offered: u64,
    /// Bytes of the texts that count.
    taken: u64,
    /// Keys and lengths of the texts that count, the highest key first.
    heap: BinaryHeap<(u64, u64)>,
    /// Keys from here on do not count; `None` as long as all do.
    cutoff: Option<u64>,
    file: BufWriter<File>,
}

impl Sample {
    /// An empty sample of at most `limit` bytes, in a file in a directory.
    pub(super) fn new(dir: &Path, limit: u64) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(dir)?);
        Ok(Self { limit, offered: 0, taken: 0, heap: BinaryHeap::new(), cutoff: None, file })
    }

    /// Considers a text.
    pub(super) fn offer(&mut self, text: &str) -> io::Result<()> {
        let length = text.len() as u64;
        self.offered += length;
        let hash = blake3::derive_key("windtunnel 2026-12 sample to train a tokenizer on", text.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = hash;
        let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if self.cutoff.is_some_and(|cutoff| key >= cutoff) {
            return Ok(());
        }
        self.file.write_all(&key.to_le_bytes())?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(text.as_bytes())?;
        self.heap.push((key, length));
        self.taken += length;
        while self.taken > self.limit && self.heap.len() > 1 {
            if let Some((key, length)) = self.heap.pop() {
                self.taken -= length;
                self.cutoff = Some(key);
            }
        }
        Ok(())
    }

    /// Bytes of the texts that count.
    pub(super) fn bytes(&self) -> u64 {
        self.taken
    }

    /// Bytes of all texts.
    pub(super) fn offered(&self) -> u64 {
        self.offered
    }

    /// The texts that count, in the order in which they were offered.
    pub(super) fn texts(self) -> io::Result<Texts> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Texts { file: BufReader::with_capacity(1 << 18, file), cutoff: self.cutoff, error: None })
    }
}

/// The texts of a sample. An error ends them; it is to be asked for afterwards.
#[derive(Debug)]
pub(super) struct Texts {
    file: BufReader<File>,
    cutoff: Option<u64>,
    error: Option<io::Error>,
}

impl Texts {
    /// What ended the texts, if it was not their end.
    pub(super) fn error(self) -> Option<io::Error> {
        self.error
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let mut start = [0; 16];
        while self.file.read(&mut start[..1])? == 1 {
            self.file.read_exact(&mut start[1..])?;
            let (key, length) = start.split_at(8);
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            let (key, length) = (number(key), number(length));
            if self.cutoff.is_some_and(|cutoff| key >= cutoff) {
                self.file.seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
                continue;
            }
            let mut text = String::with_capacity(usize::try_from(length).unwrap_or(0));
            self.file.by_ref().take(length).read_to_string(&mut text)?;
            return Ok(Some(text));
        }
        Ok(None)
    }
}

impl Iterator for &mut Texts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.read().unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(texts: &[String], limit: u64) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut sample = Sample::new(dir.path(), limit).expect("begins");
        texts.iter().for_each(|text| sample.offer(text).expect("is written"));
        let bytes = sample.bytes();
        let mut texts = sample.texts().expect("is read");
        let all: Vec<String> = (&mut texts).collect();
        assert!(texts.error().is_none());
        assert_eq!(all.iter().map(|text| text.len() as u64).sum::<u64>(), bytes);
        all
    }

    #[test]
    fn a_small_corpus_is_its_own_sample() {
        let texts: Vec<_> = (0..100).map(|i| format!("text {i}")).collect();
        assert_eq!(sample(&texts, 1_000_000), texts);
    }

    #[test]
    fn every_part_of_a_large_corpus_is_in_the_sample_by_its_share() {
        // The first tenth of the corpus, and then the rest.
        let texts: Vec<_> =
            (0..20_000).map(|i| format!("{} {i:06}", if i < 2_000 { "first" } else { "later" })).collect();
        let taken = sample(&texts, 24_000);
        assert_eq!(taken.len(), 2_000, "as many as fit");
        let first = taken.iter().filter(|text| text.starts_with("first")).count();
        assert!((150..250).contains(&first), "{first} of 2,000 from a tenth of the corpus");
        let mut other_order = texts;
        other_order.reverse();
        let mut again = sample(&other_order, 24_000);
        again.reverse();
        assert_eq!(again, taken, "the order does not matter");
    }

    #[test]
    fn a_text_that_is_larger_than_the_sample_is_one() {
        assert_eq!(sample(&["x".repeat(50)], 10), ["x".repeat(50)]);
    }
}
