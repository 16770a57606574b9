//! Who may write: the newest term, and no other.

use std::fmt;

use super::error::StoreError;

/// The tenure of a store's one writer, as it passes it along with each write. Terms are numbered, and the store refuses
/// the writes of every term but the newest: a coordinator that was presumed dead cannot write behind its successor's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub(super) u64);

impl Term {
    /// Of who only reads: no write in it is accepted.
    pub(crate) const NONE: Self = Self(0);

    /// Refuses this term unless it is the store's current one.
    pub(super) fn expect_current(self, current: u64) -> Result<(), StoreError> {
        if self.0 == current { Ok(()) } else { Err(StoreError::Deposed { term: self, current: Self(current) }) }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
