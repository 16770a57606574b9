//! Nodes on which allocations ended early.

use std::collections::BTreeMap;

use super::settings::BatchSettings;
use crate::time::Timestamp;

/// How often allocations ended early, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    strikes: BTreeMap<String, Strikes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Strikes {
    count: u32,
    last: Timestamp,
}

impl Nodes {
    /// An allocation ended early on a node.
    pub(super) fn note_early_end(&mut self, now: Timestamp, node: &str) {
        let strikes = self.strikes.entry(node.to_owned()).or_insert(Strikes { count: 0, last: now });
        *strikes = Strikes { count: strikes.count.saturating_add(1), last: now };
    }

    /// A worker on a node said hello, so the node is sound.
    pub(super) fn note_hello(&mut self, node: &str) {
        self.strikes.remove(node);
    }

    /// Without the nodes that are avoided, nothing can be submitted: they are as good as the others.
    pub(super) fn forgive(&mut self) {
        self.strikes.clear();
    }

    /// The nodes to keep away from now, and until when.
    pub fn avoided(&self, now: Timestamp) -> impl Iterator<Item = (&str, Timestamp)> {
        let avoided = self.strikes.iter().filter(|(_, strikes)| strikes.count >= BatchSettings::STRIKES_OF_NODE);
        let avoided = avoided.map(|(node, strikes)| (node.as_str(), strikes.last + BatchSettings::AVOIDED));
        avoided.filter(move |(_, until)| *until > now)
    }

    /// Forgets what is over. A node that is avoided no longer has one more try.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for strikes in self.strikes.values_mut() {
            if strikes.count >= BatchSettings::STRIKES_OF_NODE && strikes.last + BatchSettings::AVOIDED <= now {
                strikes.count = BatchSettings::STRIKES_OF_NODE - 1;
            }
        }
    }
}
