//! Faults and their times, drawn from a seed before the simulation begins.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::world::WORKERS;

/// When the last fault ends.
const PERIOD: Duration = Duration::from_secs(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nothing gets through between a worker and the coordinator.
    Partition,
    /// Messages of the worker are lost; it still receives all.
    WorkerUnheard,
    /// Messages of the coordinator are lost; it still receives all.
    WorkerDeaf,
    /// All messages are held back, and arrive together at the end.
    Hold,
    /// Each message takes seconds.
    Slow,
    /// A worker's process is killed, and another replaces it.
    WorkerCrash,
    /// A worker's training thread makes no step any more; its process notices, ends and is replaced.
    WorkerHang,
    /// The coordinator is killed. Its files stay.
    CoordinatorCrash,
    /// A worker sees another folder than the others at the storage's address.
    StorageNotShared,
    /// The file system of the storage answers everybody with errors.
    StorageAway,
    /// Another process holds the write lock of the coordinator's store.
    SecondWriter,
    /// A worker fails whatever it is given, at once. It is not drawn: a test of its own has it, with the usual retries.
    BlackHole,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Partition,
        Self::WorkerUnheard,
        Self::WorkerDeaf,
        Self::Hold,
        Self::Slow,
        Self::WorkerCrash,
        Self::WorkerHang,
        Self::CoordinatorCrash,
        Self::StorageNotShared,
        Self::StorageAway,
        Self::SecondWriter,
    ];

    /// Whether it counts against a stage that such a fault ends an attempt at it. Then a campaign needs more patience to outlast
    /// a storm of them than recipes usually have.
    pub(crate) fn counts(self) -> bool {
        !matches!(self, Self::BlackHole | Self::StorageNotShared | Self::StorageAway | Self::SecondWriter)
    }

    /// What it is about: one of the workers, the coordinator, or the file system.
    fn subject(self, worker: usize) -> usize {
        match self {
            Self::CoordinatorCrash | Self::SecondWriter => WORKERS,
            Self::StorageAway => WORKERS + 1,
            _ => worker,
        }
    }
}

/// A fault that lasts for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) worker: usize,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

impl Fault {
    /// Whether it affects this worker or its connection to the coordinator at some time within this stretch.
    pub(crate) fn is_between(&self, host: usize, from: Duration, until: Duration) -> bool {
        let subject = self.kind.subject(self.worker);
        (subject == host || subject >= WORKERS) && self.from <= until && self.until >= from
    }

    /// Whether it may end an attempt at once, and not by the silence of a lease.
    pub(crate) fn ends_attempts(&self) -> bool {
        self.kind == Kind::StorageNotShared
    }
}

/// The faults of a seed, by their start. Two faults of one worker, of the coordinator or of the file system never overlap.
pub(crate) fn draw(seed: u64) -> Vec<Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut free = [Duration::ZERO; WORKERS + 2];
    let mut faults = Vec::new();
    let mut at = Duration::from_millis(rng.random_range(2_000..6_000));
    while at < PERIOD {
        // All equally often, except the coordinator's crash, which is three times as frequent because there is only one
        // coordinator.
        let kind = Kind::ALL.get(rng.random_range(0..Kind::ALL.len() + 2)).copied().unwrap_or(Kind::CoordinatorCrash);
        let worker = rng.random_range(0..WORKERS);
        let lasts = Duration::from_millis(match kind {
            Kind::CoordinatorCrash => rng.random_range(300..6_000),
            Kind::WorkerCrash => rng.random_range(200..15_000),
            Kind::SecondWriter => rng.random_range(300..12_000),
            _ => rng.random_range(1_000..25_000),
        });
        let subject = kind.subject(worker);
        if free[subject] <= at {
            faults.push(Fault { kind, worker, from: at, until: at + lasts });
            free[subject] = at + lasts + Duration::from_millis(500);
        }
        at += Duration::from_millis(rng.random_range(300..4_000));
    }
    faults
}
