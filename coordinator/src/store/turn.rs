//! Who writes while several coordinators have the same store open: one leads, and the others stand by.

use std::fmt;
use std::time::Duration;

use super::term::Term;

/// Whether a coordinator may begin a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It may, and nobody else until it leaves the store.
    Taken,
    /// Another one leads; who, if it has said so.
    Held(Option<Leader>),
}

/// The coordinator that leads, as it shows to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    pub term: Term,
    /// For people: where it listens, and which process it is.
    pub name: String,
    /// When its term began, for people.
    pub since: String,
    /// Its signs of life so far.
    pub beats: u64,
    /// In which it gives six of them.
    pub lease: Duration,
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} since {}", self.name, self.since)
    }
}

/// The storage that all coordinators of a store use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageNote {
    pub address: String,
    /// What its marker says.
    pub id: String,
}
