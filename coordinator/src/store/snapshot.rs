//! The ledger as it was at a place in the log, so that a restart reads only what came after.

use scheduler::{SNAPSHOT_VERSION, Snapshot};

/// How many snapshots are kept. The older one is for the case that the newest is damaged.
pub(super) const KEPT: usize = 2;

/// A ledger ready to be stored.
#[derive(Debug, Clone)]
pub struct PackedSnapshot {
    pub(super) version: i64,
    /// [`Snapshot`] as JSON.
    pub(super) ledger: Vec<u8>,
    /// BLAKE3 hash of `ledger`.
    pub(super) checksum: Vec<u8>,
}

/// Why a stored snapshot is left aside.
#[derive(Debug, thiserror::Error)]
pub enum UnusableSnapshot {
    /// Its bytes are not those that were written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Another version of this program wrote it in another form.
    #[error("it has version {found}, and this program reads {SNAPSHOT_VERSION}")]
    Version {
        /// The version of the snapshot.
        found: i64,
    },
    /// The row of the log it ends with is not the one it was taken after.
    #[error("it does not belong to this log")]
    OtherLog,
    /// It cannot be decoded.
    #[error("it cannot be decoded")]
    Form(#[source] serde_json::Error),
}

impl PackedSnapshot {
    /// Encodes a snapshot. Takes a while with many stages, so call it on a thread of its own.
    #[must_use]
    pub fn pack(snapshot: &Snapshot) -> Self {
        let ledger = serde_json::to_vec(snapshot).expect("a snapshot always has a JSON form");
        let checksum = blake3::hash(&ledger).as_bytes().to_vec();
        Self { version: i64::from(SNAPSHOT_VERSION), ledger, checksum }
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ledger.len()
    }

    /// Decodes what was stored; `is_of_this_log` where the row it ends with is still the one it was taken after.
    pub(super) fn unpack(&self, is_of_this_log: bool) -> Result<Snapshot, UnusableSnapshot> {
        if blake3::hash(&self.ledger).as_bytes().as_slice() != self.checksum {
            Err(UnusableSnapshot::Checksum)
        } else if self.version != i64::from(SNAPSHOT_VERSION) {
            Err(UnusableSnapshot::Version { found: self.version })
        } else if !is_of_this_log {
            Err(UnusableSnapshot::OtherLog)
        } else {
            serde_json::from_slice(&self.ledger).map_err(UnusableSnapshot::Form)
        }
    }
}
