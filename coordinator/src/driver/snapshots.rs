//! Storing the ledger beside the log, now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{debug, warn};

use super::{Access, Driver};
use crate::clock::unix_ms;
use crate::store::PackedSnapshot;

/// The least number of facts between snapshots. A restart reads about as many at most, which takes a fraction of a second.
const AT_LEAST: u64 = 10_000;

/// The lengths of the log and of the last snapshot.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// The length of the log.
    log_rows: u64,
    /// Rows in the last snapshot, which may still be under way.
    taken_at: u64,
    is_under_way: Arc<AtomicBool>,
}

impl Snapshots {
    /// With so many rows in the log, and so many of them in a snapshot.
    pub(super) fn after(log_rows: u64, in_snapshot: u64) -> Self {
        Self { log_rows, taken_at: in_snapshot, is_under_way: Arc::default() }
    }

    /// Counts committed facts.
    pub(super) fn note(&mut self, facts: usize) {
        self.log_rows += facts as u64;
    }

    /// Whether there are so many new facts that a snapshot costs little in comparison.
    fn is_due(&self, stages: usize) -> bool {
        let facts = self.log_rows - self.taken_at;
        facts >= AT_LEAST.max(stages as u64) && !self.is_under_way.load(Ordering::Acquire)
    }
}

impl Driver {
    /// Stores the ledger once there are many new facts. The driver only copies the stages' states; the rest happens beside
    /// it.
    pub(super) fn take_snapshot_if_due(&mut self) {
        if !self.snapshots.is_due(self.scheduler.ledger().stage_count()) {
            return;
        }
        let (store, term, rows) = (self.store.clone(), self.term, self.snapshots.log_rows);
        self.snapshots.taken_at = rows;
        self.snapshots.is_under_way.store(true, Ordering::Release);
        let is_under_way = Arc::clone(&self.snapshots.is_under_way);
        let snapshot = self.scheduler.snapshot();
        let patience = self.patience.beside();
        tokio::spawn(async move {
            let packed = tokio::task::spawn_blocking(move || PackedSnapshot::pack(&snapshot)).await;
            match packed {
                Ok(packed) => match patience
                    .call("store a snapshot", || store.save_snapshot(term, rows, unix_ms(), &packed))
                    .await
                {
                    Ok(()) => debug!(rows, bytes = packed.bytes(), "the ledger is stored beside the log"),
                    // The log is authoritative: without a snapshot the next start only reads more of it.
                    Err(error) => {
                        warn!(rows, error = &error as &dyn std::error::Error, "cannot store a snapshot of the ledger")
                    }
                },
                Err(error) => {
                    warn!(rows, error = &error as &dyn std::error::Error, "cannot store a snapshot of the ledger")
                }
            }
            is_under_way.store(false, Ordering::Release);
        });
    }

    /// Stores the ledger before the end, if it has changed.
    pub(super) async fn take_last_snapshot(&mut self) {
        let rows = self.snapshots.log_rows;
        if rows == self.snapshots.taken_at || self.access == Access::Reads {
            return;
        }
        let packed = PackedSnapshot::pack(&self.scheduler.snapshot());
        if let Err(error) = self.store.save_snapshot(self.term, rows, unix_ms(), &packed).await {
            warn!(rows, error = &error as &dyn std::error::Error, "cannot store a snapshot of the ledger");
        }
    }
}
