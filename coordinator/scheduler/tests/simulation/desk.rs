//! The rules that the coordinator's shell keeps between the network and the scheduler: of each worker, the latest
//! connection is listened to, and no other.

use std::collections::BTreeMap;

use scheduler::Event;
use vocabulary::WorkerId;

/// Something a worker says.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The number of a report that is to be acknowledged.
    pub(crate) number: Option<u64>,
    pub(crate) event: Event,
    /// With a hello: the process that this one took the place of, which is certain to have ended.
    pub(crate) predecessor: Option<WorkerId>,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is heard; a predecessor that is gone is heard of first.
    Heard { gone: Option<WorkerId> },
    /// It is of a connection that a later one replaced.
    Dropped,
}

/// Which connection of each worker is the latest, by the worker's own count, and whether it is open.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    latest: BTreeMap<WorkerId, (u64, bool)>,
}

impl Desk {
    pub(crate) fn judge(&mut self, worker: WorkerId, connection: u64, message: &Message) -> Verdict {
        let known = self.latest.get(&worker).copied();
        if !matches!(message.event, Event::WorkerJoined { .. }) {
            let is_latest = known == Some((connection, true));
            return if is_latest { Verdict::Heard { gone: None } } else { Verdict::Dropped };
        }
        if known.is_some_and(|(latest, _)| latest > connection) {
            return Verdict::Dropped;
        }
        self.latest.insert(worker, (connection, true));
        let is_open = |other: &WorkerId| matches!(self.latest.get(other), Some((_, true)));
        let gone = message.predecessor.filter(|predecessor| *predecessor != worker && !is_open(predecessor));
        Verdict::Heard { gone }
    }

    /// A connection ended. Whether that is news: nobody has dialled since.
    pub(crate) fn close(&mut self, worker: WorkerId, connection: u64) -> bool {
        match self.latest.get_mut(&worker) {
            Some((latest, open)) if *latest == connection => std::mem::replace(open, false),
            _ => false,
        }
    }

    /// A process is gone.
    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.latest.remove(&worker);
    }

    /// The connection that orders for a worker go to.
    pub(crate) fn open_connection(&self, worker: WorkerId) -> Option<u64> {
        self.latest.get(&worker).filter(|(_, open)| *open).map(|(latest, _)| *latest)
    }
}
