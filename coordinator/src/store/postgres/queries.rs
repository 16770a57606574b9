//! Queries of the driver and of people that need one table.

use vocabulary::{CampaignId, StageKey, WorkerId};

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::columns::{self, CheckpointColumns, DatedCheckpointColumns, from_column, to_column};
use crate::store::{CampaignRow, CommittedCheckpoint, RecipeText, StorageNote, StoreError, Term};

impl PostgresStore {
    pub(super) async fn read_campaigns(&self) -> Result<Vec<CampaignRow>, StoreError> {
        let select = "SELECT campaign, submitted_at_ms FROM campaigns ORDER BY campaign";
        let rows = sqlx::query_as::<_, (String, i64)>(select).fetch_all(&self.reads).await;
        let rows = rows.map_err(cannot_read("campaigns"))?;
        rows.into_iter().map(columns::campaign).collect()
    }

    pub(super) async fn read_recipe(&self, campaign: CampaignId) -> Result<Option<RecipeText>, StoreError> {
        let select = sqlx::query_as("SELECT file, text FROM recipes WHERE campaign = $1").bind(campaign.to_string());
        let found = select.fetch_optional(&self.people).await;
        let found = found.map_err(cannot_read("recipes"))?;
        Ok(found.map(|(file, text)| RecipeText { file, text }))
    }

    pub(super) async fn read_last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError> {
        let select = sqlx::query_scalar("SELECT last_sequence FROM worker_streams WHERE worker = $1");
        let found = select.bind(worker.to_string()).fetch_optional(&self.reads).await;
        let found: Option<i64> = found.map_err(cannot_read("worker_streams"))?;
        Ok(found.map(from_column))
    }

    pub(super) async fn read_checkpoint(
        &self,
        stage: StageKey,
        step: u64,
    ) -> Result<Option<CommittedCheckpoint>, StoreError> {
        let select = "SELECT step, attempt, manifest_path, manifest_hash, bytes FROM checkpoints \
                      WHERE stage = $1 AND step = $2";
        let select = sqlx::query_as(select).bind(stage.to_string()).bind(to_column(step));
        found(stage, select.fetch_optional(&self.reads).await)
    }

    pub(super) async fn read_checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError> {
        let select = "SELECT stage, step, attempt, manifest_path, manifest_hash, bytes, committed_at_ms \
                      FROM checkpoints ORDER BY stage, step";
        let rows = sqlx::query_as::<_, DatedCheckpointColumns>(select);
        let rows = rows.fetch_all(&self.reads).await;
        let rows = rows.map_err(cannot_read("checkpoints"))?;
        rows.into_iter().map(columns::dated_checkpoint).collect()
    }

    pub(super) async fn read_last_checkpoint(
        &self,
        stage: StageKey,
    ) -> Result<Option<CommittedCheckpoint>, StoreError> {
        let select = "SELECT step, attempt, manifest_path, manifest_hash, bytes FROM checkpoints \
                      WHERE stage = $1 ORDER BY step DESC LIMIT 1";
        let select = sqlx::query_as(select).bind(stage.to_string());
        found(stage, select.fetch_optional(&self.reads).await)
    }

    /// The storage that coordinators of this store use; `None` before the first one, which makes the tables, too.
    pub(super) async fn read_storage(&self) -> Result<Option<StorageNote>, StoreError> {
        if !self.has_schema().await? {
            return Ok(None);
        }
        let select = sqlx::query_as::<_, (String, String)>("SELECT address, id FROM storage WHERE one = 1");
        let found = select.fetch_optional(&self.reads).await.map_err(cannot_read("storage"))?;
        Ok(found.map(|(address, id)| StorageNote { address, id }))
    }

    /// Whether somebody has written something that the store is to remember: tables alone may be left of a copy that failed.
    pub(in crate::store) async fn has_data(&self) -> Result<bool, StoreError> {
        if !self.has_schema().await? {
            return Ok(false);
        }
        let rows =
            "SELECT EXISTS (SELECT 1 FROM facts) OR EXISTS (SELECT 1 FROM tokens) OR EXISTS (SELECT 1 FROM storage)";
        sqlx::query_scalar(rows).fetch_one(&self.reads).await.map_err(cannot_read("facts"))
    }

    pub(super) async fn write_storage(&self, term: Term, note: &StorageNote) -> Result<(), StoreError> {
        if self.read_storage().await?.as_ref() == Some(note) {
            return Ok(());
        }
        let mut transaction = self.begin(term).await?;
        let upsert = "INSERT INTO storage (one, address, id) VALUES (1, $1, $2) \
                      ON CONFLICT (one) DO UPDATE SET address = excluded.address, id = excluded.id";
        let upsert = sqlx::query(upsert).bind(&note.address).bind(&note.id);
        let written = upsert.execute(transaction.connection()).await.map_err(cannot_write("storage"));
        transaction.end(written.map(drop)).await
    }
}

fn found(
    stage: StageKey,
    row: Result<Option<CheckpointColumns>, sqlx::Error>,
) -> Result<Option<CommittedCheckpoint>, StoreError> {
    let row = row.map_err(cannot_read("checkpoints"))?;
    row.map(|row| columns::checkpoint(stage, row)).transpose()
}
