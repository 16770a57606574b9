//! The ledger as it was at a place in the log.

use scheduler::Snapshot;

use super::error::{cannot_commit, cannot_read, cannot_write};
use super::open::SqliteStore;
use super::term::expect_current;
use crate::store::columns::{from_column, to_column};
use crate::store::snapshot::KEPT;
use crate::store::{LogPosition, PackedSnapshot, StoreError, Term, UnusableSnapshot};

const TABLE: &str = "snapshots";

impl SqliteStore {
    pub(super) async fn write_snapshot(
        &self,
        term: Term,
        sequence: u64,
        at_ms: u64,
        packed: &PackedSnapshot,
    ) -> Result<(), StoreError> {
        let Some(chain) = self.chain_of(sequence).await? else { return Ok(()) };
        let mut transaction = self.begin().await?;
        expect_current(&mut transaction, term).await?;
        let insert = "INSERT OR REPLACE INTO snapshots (sequence, chain, at_ms, version, ledger, checksum) \
                      VALUES (?, ?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert)
            .bind(to_column(sequence))
            .bind(chain.as_slice())
            .bind(to_column(at_ms))
            .bind(packed.version)
            .bind(packed.ledger.as_slice())
            .bind(packed.checksum.as_slice());
        insert.execute(&mut *transaction).await.map_err(cannot_write(TABLE))?;
        let delete = "DELETE FROM snapshots WHERE sequence NOT IN \
                      (SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT ?)";
        let delete = sqlx::query(delete).bind(to_column(KEPT as u64));
        delete.execute(&mut *transaction).await.map_err(cannot_write(TABLE))?;
        transaction.commit().await.map_err(cannot_commit)
    }

    pub(super) async fn remove_snapshot(&self, term: Term, sequence: u64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        expect_current(&mut transaction, term).await?;
        let delete = sqlx::query("DELETE FROM snapshots WHERE sequence = ?").bind(to_column(sequence));
        delete.execute(&mut *transaction).await.map_err(cannot_write(TABLE))?;
        transaction.commit().await.map_err(cannot_commit)
    }

    pub(super) async fn read_snapshots(
        &self,
    ) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError> {
        let select = "SELECT sequence, chain, version, ledger, checksum FROM snapshots ORDER BY sequence DESC";
        let rows = sqlx::query_as::<_, (i64, Vec<u8>, i64, Vec<u8>, Vec<u8>)>(select).fetch_all(&self.driver).await;
        let mut snapshots = Vec::new();
        for (sequence, chain, version, ledger, checksum) in rows.map_err(cannot_read(TABLE))? {
            let sequence = from_column(sequence);
            let of_log = self.chain_of(sequence).await?.filter(|of_log| of_log.as_slice() == chain);
            let position = LogPosition { sequence, chain: of_log.unwrap_or_default() };
            let packed = PackedSnapshot { version, ledger, checksum };
            snapshots.push((position, packed.unpack(of_log.is_some())));
        }
        Ok(snapshots)
    }
}
