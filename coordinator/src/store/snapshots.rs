//! The ledger as it was at a place in the log, so that a restart reads only what came after.

use scheduler::{SNAPSHOT_VERSION, Snapshot};

use super::error::StoreError;
use super::log::{Chain, LogPosition};
use super::number::{from_column, to_column};
use super::open::Store;

const TABLE: &str = "snapshots";

/// Snapshots that are kept. The one before the newest is for the case that the newest is damaged.
const KEPT: i64 = 2;

/// A ledger ready to be stored.
#[derive(Debug, Clone)]
pub struct PackedSnapshot {
    ledger: Vec<u8>,
    checksum: Chain,
}

/// Why a snapshot that is there is left aside.
#[derive(Debug, thiserror::Error)]
pub enum UnusableSnapshot {
    /// Its bytes are not those that were written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Its form is that of another version of this program.
    #[error("it is of version {found}, and this program writes {SNAPSHOT_VERSION}")]
    Version {
        /// The version.
        found: i64,
    },
    /// The row of the log it ends with is not the one it was taken after.
    #[error("it is not of this log")]
    OtherLog,
    /// It is no snapshot.
    #[error("it cannot be read")]
    Form(#[source] serde_json::Error),
}

impl PackedSnapshot {
    /// Takes some time for many stages, and needs nothing but itself: it is for a thread of its own.
    #[must_use]
    pub fn pack(snapshot: &Snapshot) -> Self {
        let ledger = serde_json::to_vec(snapshot).expect("a snapshot always has a JSON form");
        Self { checksum: blake3::hash(&ledger).into(), ledger }
    }

    /// How large it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ledger.len()
    }
}

impl Store {
    /// Stores the ledger as it was after so many rows of the log, all of which are committed. Older ones are removed.
    ///
    /// # Errors
    /// If it cannot be written, or the log is not that long.
    pub async fn save_snapshot(&self, sequence: u64, at_ms: u64, packed: &PackedSnapshot) -> Result<(), StoreError> {
        let write = |source| StoreError::Write { table: TABLE, source };
        // A log without a chain there cannot be told from another one, and has no snapshots.
        let Some(chain) = self.chain_of(sequence).await? else { return Ok(()) };
        let mut transaction = self.driver.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Begin)?;
        let insert = "INSERT OR REPLACE INTO snapshots (sequence, chain, at_ms, version, ledger, checksum) \
                      VALUES (?, ?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert)
            .bind(to_column(sequence))
            .bind(chain.as_slice())
            .bind(to_column(at_ms))
            .bind(i64::from(SNAPSHOT_VERSION))
            .bind(packed.ledger.as_slice())
            .bind(packed.checksum.as_slice());
        insert.execute(&mut *transaction).await.map_err(write)?;
        let delete = "DELETE FROM snapshots WHERE sequence NOT IN \
                      (SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT ?)";
        sqlx::query(delete).bind(KEPT).execute(&mut *transaction).await.map_err(write)?;
        transaction.commit().await.map_err(StoreError::Commit)
    }

    /// The snapshots there are, the newest first: where each ends, and what is wrong with it if it cannot be used.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError> {
        let select = "SELECT sequence, chain, version, ledger, checksum FROM snapshots ORDER BY sequence DESC";
        let rows = sqlx::query_as::<_, (i64, Vec<u8>, i64, Vec<u8>, Vec<u8>)>(select).fetch_all(&self.driver).await;
        let mut snapshots = Vec::new();
        for (sequence, chain, version, ledger, checksum) in
            rows.map_err(|source| StoreError::Read { table: TABLE, source })?
        {
            let sequence = from_column(sequence);
            let of_log = self.chain_of(sequence).await?.filter(|of_log| of_log.as_slice() == chain);
            let position = LogPosition { sequence, chain: of_log.unwrap_or_default() };
            let snapshot = if blake3::hash(&ledger).as_bytes().as_slice() != checksum {
                Err(UnusableSnapshot::Checksum)
            } else if version != i64::from(SNAPSHOT_VERSION) {
                Err(UnusableSnapshot::Version { found: version })
            } else if of_log.is_none() {
                Err(UnusableSnapshot::OtherLog)
            } else {
                serde_json::from_slice(&ledger).map_err(UnusableSnapshot::Form)
            };
            snapshots.push((position, snapshot));
        }
        Ok(snapshots)
    }
}
