//! The log as every implementation keeps it: rows numbered from 1 without gaps, each chained to the one before it.

use scheduler::Fact;

use super::error::StoreError;

/// What a row says of everything before it, and of itself: a BLAKE3 hash.
pub type Chain = [u8; 32];

/// A place in the log: after this many rows, the last of which has this chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// How many rows are before it.
    pub sequence: u64,
    /// The chain of the last of them; zeros at the beginning, and after a row written before logs were chained.
    pub(super) chain: Chain,
}

/// The size of a log that was checked and found sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCheck {
    /// Rows of the log.
    pub rows: u64,
    /// Rows written before logs were chained: all that can be said of them is that they decode.
    pub unchained: u64,
}

/// The chain of a row.
pub(super) fn link(before: &Chain, sequence: i64, at_ms: i64, fact: &str) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(&sequence.to_le_bytes()).update(&at_ms.to_le_bytes()).update(fact.as_bytes());
    hasher.finalize().into()
}

/// A row of the log, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogRow<'a> {
    pub(super) sequence: i64,
    pub(super) at_ms: i64,
    /// [`Fact`] as JSON.
    pub(super) fact: &'a str,
    /// `None` in rows written before logs were chained.
    pub(super) chain: Option<&'a [u8]>,
}

/// Reads rows in order and compares each with what the one before it makes of it.
#[derive(Debug)]
pub(super) struct LogReader {
    last: i64,
    chain: Chain,
}

impl LogReader {
    /// Expects the row after this position.
    pub(super) fn after(position: LogPosition) -> Self {
        Self { last: position.sequence.cast_signed(), chain: position.chain }
    }

    /// The fact of the next row.
    pub(super) fn read(&mut self, row: LogRow<'_>) -> Result<Fact, StoreError> {
        let LogRow { sequence, at_ms, fact: text, chain } = row;
        if sequence != self.last + 1 {
            return Err(StoreError::LogGap { missing: self.last + 1, next: sequence });
        }
        let fact = serde_json::from_str(text).map_err(|source| StoreError::LogRow { sequence, source })?;
        match chain {
            Some(stored) => {
                self.chain = link(&self.chain, sequence, at_ms, text);
                if stored != self.chain {
                    return Err(StoreError::LogChain { sequence });
                }
            }
            // Unchained rows come before all others.
            None if self.chain != Chain::default() => return Err(StoreError::LogChain { sequence }),
            None => {}
        }
        self.last = sequence;
        Ok(fact)
    }

    /// Compares the last row with where the log was noted to end, and with which chain.
    pub(super) fn finish(self, end: Option<(i64, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        match end {
            Some((end, _)) if self.last < end => Err(StoreError::LogCut { last: self.last, end }),
            Some((end, Some(chain))) if self.last == end && chain != self.chain => {
                Err(StoreError::LogChain { sequence: end })
            }
            _ => Ok(()),
        }
    }
}
