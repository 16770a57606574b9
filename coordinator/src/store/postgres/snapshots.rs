//! The ledger as it was at a place in the log.

use scheduler::Snapshot;
use sqlx::PgConnection;

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::columns::{from_column, to_column};
use crate::store::snapshot::KEPT;
use crate::store::{Chain, LogPosition, PackedSnapshot, StoreError, Term, UnusableSnapshot};

const TABLE: &str = "snapshots";

impl PostgresStore {
    pub(super) async fn write_snapshot(
        &self,
        term: Term,
        sequence: u64,
        at_ms: u64,
        packed: &PackedSnapshot,
    ) -> Result<(), StoreError> {
        let Some(chain) = self.chain_of(sequence).await? else { return Ok(()) };
        let mut transaction = self.begin(term).await?;
        let written = write(transaction.connection(), sequence, &chain, at_ms, packed).await;
        transaction.end(written).await
    }

    pub(super) async fn remove_snapshot(&self, term: Term, sequence: u64) -> Result<(), StoreError> {
        let mut transaction = self.begin(term).await?;
        let delete = sqlx::query("DELETE FROM snapshots WHERE sequence = $1").bind(to_column(sequence));
        let deleted = delete.execute(transaction.connection()).await.map_err(cannot_write(TABLE));
        transaction.end(deleted.map(drop)).await
    }

    pub(super) async fn read_snapshots(
        &self,
    ) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError> {
        let select = "SELECT sequence, chain, version, ledger, checksum FROM snapshots ORDER BY sequence DESC";
        let rows = sqlx::query_as::<_, (i64, Vec<u8>, i64, Vec<u8>, Vec<u8>)>(select).fetch_all(&self.reads).await;
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

async fn write(
    connection: &mut PgConnection,
    sequence: u64,
    chain: &Chain,
    at_ms: u64,
    packed: &PackedSnapshot,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO snapshots (sequence, chain, at_ms, version, ledger, checksum) \
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sequence) DO UPDATE SET chain = excluded.chain, \
                  at_ms = excluded.at_ms, version = excluded.version, ledger = excluded.ledger, \
                  checksum = excluded.checksum";
    let insert = sqlx::query(insert)
        .bind(to_column(sequence))
        .bind(chain.as_slice())
        .bind(to_column(at_ms))
        .bind(packed.version)
        .bind(packed.ledger.as_slice())
        .bind(packed.checksum.as_slice());
    insert.execute(&mut *connection).await.map_err(cannot_write(TABLE))?;
    let delete = "DELETE FROM snapshots WHERE sequence NOT IN \
                  (SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT $1)";
    let delete = sqlx::query(delete).bind(to_column(KEPT as u64));
    delete.execute(&mut *connection).await.map_err(cannot_write(TABLE))?;
    Ok(())
}
