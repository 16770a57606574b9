//! The documents of a held-out split: where each lies, and in which order they are measured.

use super::shard::Shard;

/// Numbers for each document in the file of an index.
const NUMBERS: usize = 4;

/// A held-out document, or a held-out block of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOutDocument {
    /// Its tokens, its end included.
    pub tokens: u32,
    /// Index of its source among those of the dataset.
    pub source: u32,
    /// Documents are measured in the order of these numbers.
    pub draw: u64,
}

impl HeldOutDocument {
    /// As numbers of a file.
    fn numbers(&self) -> [u32; NUMBERS] {
        [self.tokens, self.source, (self.draw >> 32) as u32, self.draw as u32]
    }
}

/// The contents of an index's file: numbers for each document in the order of the shards.
pub(super) fn packed(documents: &[HeldOutDocument]) -> Vec<u32> {
    documents.iter().flat_map(HeldOutDocument::numbers).collect()
}

/// Where a document lies in the order of measurement, and where its tokens lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its first token in the order of measurement.
    pub(crate) at: u64,
    /// Its first token in the shards.
    stored: u64,
    pub(crate) tokens: u64,
    pub(crate) source: u32,
}

/// Held-out documents in the order in which they are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order(Vec<Placed>);

impl Order {
    /// The order of an index. `None` unless its documents make up a split of this many tokens, behind the token that
    /// precedes the first.
    pub(super) fn of(index: &Shard, tokens: u64) -> Option<Self> {
        let mut numbers = Vec::with_capacity(index.len());
        index.read(0..index.len(), &mut numbers);
        let (documents, []) = numbers.as_chunks::<NUMBERS>() else { return None };
        let mut drawn = Vec::with_capacity(documents.len());
        let mut stored = 1_u64;
        for [tokens, source, high, low] in documents {
            let draw = u64::from(*high) << 32 | u64::from(*low);
            drawn.push((draw, Placed { at: 0, stored, tokens: u64::from(*tokens), source: *source }));
            stored = stored.checked_add(u64::from(*tokens))?;
        }
        if stored != tokens {
            return None;
        }
        // By the place where two numbers are equal, which no two different texts have.
        drawn.sort_by_key(|(draw, placed)| (*draw, placed.stored));
        let mut at = 1;
        let placed = drawn.into_iter().map(|(_, placed)| {
            let placed = Placed { at, ..placed };
            at += placed.tokens;
            placed
        });
        Some(Self(placed.collect()))
    }

    pub(super) fn documents(&self) -> &[Placed] {
        &self.0
    }

    /// The stretches of the shards that hold `count` tokens from `start` on, each with its first token and its length.
    pub(super) fn stretches(&self, start: u64, count: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let end = start.saturating_add(count);
        let before = (start == 0 && count > 0).then_some((0, 1));
        let first = self.0.partition_point(|placed| placed.at + placed.tokens <= start);
        let documents = self.0[first..].iter().take_while(move |placed| placed.at < end).map(move |placed| {
            let from = start.max(placed.at);
            (placed.stored + (from - placed.at), end.min(placed.at + placed.tokens) - from)
        });
        before.into_iter().chain(documents)
    }
}
