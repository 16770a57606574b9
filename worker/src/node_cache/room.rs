//! What has to go so that something else fits.

use std::fs::File;
use std::time::SystemTime;

use super::entry::Entry;

/// A thing in the cache.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) bytes: u64,
    pub(super) last_use: SystemTime,
    /// Its exclusive lock; `None` if it is in use.
    pub(super) lock: Option<File>,
}

/// The things to remove, oldest first, so that `needed` bytes fit into the budget. `None` if what is in use leaves too little.
pub(super) fn to_remove(mut found: Vec<Found>, needed: u64, budget: u64) -> Option<Vec<Found>> {
    let mut total = found.iter().fold(needed, |sum, found| sum.saturating_add(found.bytes));
    found.retain(|found| found.lock.is_some());
    found.sort_by_key(|found| found.last_use);
    let mut removed = Vec::new();
    for oldest in found {
        // What takes no room was never filled; it goes when the next thing does.
        if total <= budget {
            break;
        }
        total = total.saturating_sub(oldest.bytes);
        removed.push(oldest);
    }
    (total <= budget).then_some(removed)
}

/// A number of bytes, for people.
pub(crate) fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}
