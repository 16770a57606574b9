//! Queries of the driver and of people that need one table.

use vocabulary::{CampaignId, StageKey, WorkerId};

use super::error::cannot_read;
use super::open::SqliteStore;
use crate::store::columns::{self, CheckpointColumns, DatedCheckpointColumns, from_column, to_column};
use crate::store::{CampaignRow, CommittedCheckpoint, RecipeText, StoreError};

impl SqliteStore {
    pub(super) async fn read_campaigns(&self) -> Result<Vec<CampaignRow>, StoreError> {
        let select = "SELECT campaign, submitted_at_ms FROM campaigns ORDER BY campaign";
        let rows = sqlx::query_as::<_, (String, i64)>(select).fetch_all(&self.driver).await;
        let rows = rows.map_err(cannot_read("campaigns"))?;
        rows.into_iter().map(columns::campaign).collect()
    }

    pub(super) async fn read_recipe(&self, campaign: CampaignId) -> Result<Option<RecipeText>, StoreError> {
        let select = sqlx::query_as("SELECT file, text FROM recipes WHERE campaign = ?").bind(campaign.to_string());
        let found = select.fetch_optional(&self.readers).await;
        let found = found.map_err(cannot_read("recipes"))?;
        Ok(found.map(|(file, text)| RecipeText { file, text }))
    }

    pub(super) async fn read_last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError> {
        let select = sqlx::query_scalar("SELECT last_sequence FROM worker_streams WHERE worker = ?");
        let found = select.bind(worker.to_string()).fetch_optional(&self.driver).await;
        let found: Option<i64> = found.map_err(cannot_read("worker_streams"))?;
        Ok(found.map(from_column))
    }

    pub(super) async fn read_checkpoint(
        &self,
        stage: StageKey,
        step: u64,
    ) -> Result<Option<CommittedCheckpoint>, StoreError> {
        let select = "SELECT step, attempt, manifest_path, manifest_hash, bytes FROM checkpoints \
                      WHERE stage = ? AND step = ?";
        let select = sqlx::query_as(select).bind(stage.to_string()).bind(to_column(step));
        found(stage, select.fetch_optional(&self.driver).await)
    }

    pub(super) async fn read_checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError> {
        let select = "SELECT stage, step, attempt, manifest_path, manifest_hash, bytes, committed_at_ms \
                      FROM checkpoints ORDER BY stage, step";
        let rows = sqlx::query_as::<_, DatedCheckpointColumns>(select);
        let rows = rows.fetch_all(&self.driver).await;
        let rows = rows.map_err(cannot_read("checkpoints"))?;
        rows.into_iter().map(columns::dated_checkpoint).collect()
    }

    pub(super) async fn read_last_checkpoint(
        &self,
        stage: StageKey,
    ) -> Result<Option<CommittedCheckpoint>, StoreError> {
        let select = "SELECT step, attempt, manifest_path, manifest_hash, bytes FROM checkpoints \
                      WHERE stage = ? ORDER BY step DESC LIMIT 1";
        let select = sqlx::query_as(select).bind(stage.to_string());
        found(stage, select.fetch_optional(&self.driver).await)
    }
}

fn found(
    stage: StageKey,
    row: Result<Option<CheckpointColumns>, sqlx::Error>,
) -> Result<Option<CommittedCheckpoint>, StoreError> {
    let row = row.map_err(cannot_read("checkpoints"))?;
    row.map(|row| columns::checkpoint(stage, row)).transpose()
}
