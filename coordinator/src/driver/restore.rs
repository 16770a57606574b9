//! Restoring the state that a store holds.

use scheduler::{Scheduler, Settings, Timestamp};
use tracing::{info, warn};

use super::RestoreStateError;
use crate::store::Store;

/// A restored scheduler.
pub(super) struct Restored {
    pub(super) scheduler: Scheduler,
    /// The length of the log.
    pub(super) log_rows: u64,
    /// How many of them are in the snapshot it began with.
    pub(super) in_snapshot: u64,
}

/// The state that a store holds.
///
/// Restores from the newest sound snapshot and the facts after it. Snapshots are a convenience: an unusable one is logged and
/// ignored, and without any the log is read from its beginning.
pub(super) async fn restore(settings: Settings, store: &dyn Store) -> Result<Restored, RestoreStateError> {
    let now = Timestamp(0);
    for (position, snapshot) in store.snapshots().await.map_err(RestoreStateError::Read)? {
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(sequence = position.sequence, error, "a snapshot of the ledger is unusable and ignored");
                continue;
            }
        };
        let facts = store.facts_after(position).await.map_err(RestoreStateError::Read)?;
        let after = facts.len() as u64;
        match Scheduler::restore_from(settings, now, snapshot, facts) {
            Ok(scheduler) => {
                info!(sequence = position.sequence, facts = after, "restored from a snapshot and the facts after it");
                let in_snapshot = position.sequence;
                return Ok(Restored { scheduler, log_rows: in_snapshot + after, in_snapshot });
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                warn!(sequence = position.sequence, error, "a snapshot of the ledger is unusable and ignored");
            }
        }
    }
    let facts = store.facts().await.map_err(RestoreStateError::Read)?;
    let rows = facts.len() as u64;
    let scheduler = Scheduler::restore(settings, now, facts).map_err(RestoreStateError::Log)?;
    info!(facts = rows, "restored from the whole log");
    Ok(Restored { scheduler, log_rows: rows, in_snapshot: 0 })
}
