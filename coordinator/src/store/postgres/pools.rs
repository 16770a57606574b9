//! Pools and their allocations.

use sqlx::PgConnection;

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::columns::{self, AllocationColumns, to_column};
use crate::store::{AllocationRow, PoolChange, PoolRow, StoreError, Term};

const POOLS: &str = "pools";
const ALLOCATIONS: &str = "allocations";

impl PostgresStore {
    pub(super) async fn write_pool_change(&self, term: Term, change: &PoolChange) -> Result<(), StoreError> {
        let mut transaction = self.begin(term).await?;
        let written = write(transaction.connection(), change).await;
        transaction.end(written).await
    }

    pub(super) async fn read_pools(&self) -> Result<Vec<PoolRow>, StoreError> {
        let select = "SELECT name, kind, mark, mode, reason, settings FROM pools ORDER BY name";
        let rows = sqlx::query_as(select).fetch_all(&self.reads).await.map_err(cannot_read(POOLS))?;
        let row = |(name, kind, mark, mode, reason, settings)| PoolRow { name, kind, mark, mode, reason, settings };
        Ok(rows.into_iter().map(row).collect())
    }

    pub(super) async fn read_allocations(&self) -> Result<Vec<AllocationRow>, StoreError> {
        let select = "SELECT allocation, pool, intended_at_ms, job FROM allocations ORDER BY allocation";
        let rows = sqlx::query_as::<_, AllocationColumns>(select).fetch_all(&self.reads).await;
        Ok(rows.map_err(cannot_read(ALLOCATIONS))?.into_iter().map(columns::allocation).collect())
    }
}

async fn write(connection: &mut PgConnection, change: &PoolChange) -> Result<(), StoreError> {
    match change {
        PoolChange::SetPool(PoolRow { name, kind, mark, mode, reason, settings }) => {
            let upsert = "INSERT INTO pools (name, kind, mark, mode, reason, settings) VALUES ($1, $2, $3, $4, $5, $6) \
                          ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, mark = excluded.mark, \
                          mode = excluded.mode, reason = excluded.reason, settings = excluded.settings";
            let upsert = sqlx::query(upsert).bind(name).bind(kind).bind(mark).bind(mode).bind(reason).bind(settings);
            upsert.execute(connection).await.map_err(cannot_write(POOLS))?;
        }
        PoolChange::RemovePool(name) => {
            let delete = sqlx::query("DELETE FROM allocations WHERE pool = $1").bind(name);
            delete.execute(&mut *connection).await.map_err(cannot_write(ALLOCATIONS))?;
            let delete = sqlx::query("DELETE FROM pools WHERE name = $1").bind(name);
            delete.execute(connection).await.map_err(cannot_write(POOLS))?;
        }
        PoolChange::SetAllocation(AllocationRow { allocation, pool, intended_at_ms, job }) => {
            let upsert = "INSERT INTO allocations (allocation, pool, intended_at_ms, job) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT (allocation) DO UPDATE SET pool = excluded.pool, \
                          intended_at_ms = excluded.intended_at_ms, job = excluded.job";
            let (at, job) = (to_column(*intended_at_ms), job.map(to_column));
            let upsert = sqlx::query(upsert).bind(allocation).bind(pool).bind(at).bind(job);
            upsert.execute(connection).await.map_err(cannot_write(ALLOCATIONS))?;
        }
        PoolChange::RemoveAllocation(allocation) => {
            let delete = sqlx::query("DELETE FROM allocations WHERE allocation = $1").bind(allocation);
            delete.execute(connection).await.map_err(cannot_write(ALLOCATIONS))?;
        }
    }
    Ok(())
}
