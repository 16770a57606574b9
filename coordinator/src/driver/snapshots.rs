//! When the ledger is stored beside the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{debug, warn};

use super::Driver;
use crate::people::unix_ms;
use crate::store::PackedSnapshot;

/// Facts between snapshots at least: a restart reads as many at most, which takes a fraction of a second.
const AT_LEAST: u64 = 10_000;

/// How far the log is, and how far the last snapshot of it.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Rows of the log.
    log_rows: u64,
    /// Rows at the last snapshot that was begun.
    taken_at: u64,
    is_under_way: Arc<AtomicBool>,
}

impl Snapshots {
    /// So many rows are there, and so many of them in a snapshot.
    pub(super) fn after(log_rows: u64, in_snapshot: u64) -> Self {
        Self { log_rows, taken_at: in_snapshot, is_under_way: Arc::default() }
    }

    /// Notes that facts were committed.
    pub(super) fn note(&mut self, facts: usize) {
        self.log_rows += facts as u64;
    }

    /// Whether it is time: there are so many new facts that a snapshot costs little beside them.
    fn is_due(&self, stages: usize) -> bool {
        let facts = self.log_rows - self.taken_at;
        facts >= AT_LEAST.max(stages as u64) && !self.is_under_way.load(Ordering::Acquire)
    }
}

impl Driver {
    /// Stores the ledger once there are many new facts. The driver only copies what stages have become; the rest is done
    /// beside it.
    pub(super) fn take_snapshot_if_due(&mut self) {
        if !self.snapshots.is_due(self.scheduler.ledger().stage_count()) {
            return;
        }
        let (store, rows) = (self.store.clone(), self.snapshots.log_rows);
        self.snapshots.taken_at = rows;
        self.snapshots.is_under_way.store(true, Ordering::Release);
        let is_under_way = Arc::clone(&self.snapshots.is_under_way);
        let snapshot = self.scheduler.snapshot();
        tokio::spawn(async move {
            let packed = tokio::task::spawn_blocking(move || PackedSnapshot::pack(&snapshot)).await;
            match packed {
                Ok(packed) => match store.save_snapshot(rows, unix_ms(), &packed).await {
                    Ok(()) => debug!(rows, bytes = packed.bytes(), "the ledger is stored beside the log"),
                    // The log is what counts: without a snapshot the next start reads more of it.
                    Err(error) => warn!(rows, error = &error as &dyn std::error::Error, "no snapshot of the ledger"),
                },
                Err(error) => warn!(rows, error = &error as &dyn std::error::Error, "no snapshot of the ledger"),
            }
            is_under_way.store(false, Ordering::Release);
        });
    }

    /// Stores the ledger before the end, where there is something new.
    pub(super) async fn take_last_snapshot(&mut self) {
        let rows = self.snapshots.log_rows;
        if rows == self.snapshots.taken_at {
            return;
        }
        let packed = PackedSnapshot::pack(&self.scheduler.snapshot());
        if let Err(error) = self.store.save_snapshot(rows, unix_ms(), &packed).await {
            warn!(rows, error = &error as &dyn std::error::Error, "no snapshot of the ledger");
        }
    }
}
