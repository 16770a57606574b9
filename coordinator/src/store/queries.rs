//! Questions of the driver and of people that a row answers.

use vocabulary::{Attempt, AttemptKey, CampaignId, StageKey, WorkerId};

use super::error::StoreError;
use super::number::{from_column, to_column};
use super::open::Store;

/// A campaign, as far as the log does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignRow {
    /// Which.
    pub campaign: CampaignId,
    /// When it was submitted for the first time, in milliseconds since 1970.
    pub submitted_at_ms: u64,
}

/// A checkpoint that was verified and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedCheckpoint {
    /// Of which stage.
    pub stage: StageKey,
    /// Under which attempt it was written.
    pub attempt: Attempt,
    /// Steps done, counted from the root.
    pub step: u64,
    /// Where its manifest lies, below the root of the storage.
    pub manifest_path: String,
    /// The BLAKE3 hash of the manifest, in hexadecimal.
    pub manifest_hash: String,
    /// The size of all its files.
    pub bytes: u64,
}

impl CommittedCheckpoint {
    /// The attempt that wrote it.
    #[must_use]
    pub fn key(&self) -> AttemptKey {
        AttemptKey { stage: self.stage, attempt: self.attempt }
    }
}

/// The columns of a checkpoint, without those that were asked for.
type CheckpointColumns = (i64, u32, String, String, i64);

impl Store {
    /// Every campaign that was ever accepted.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn campaign_rows(&self) -> Result<Vec<CampaignRow>, StoreError> {
        let select = "SELECT campaign, submitted_at_ms FROM campaigns ORDER BY campaign";
        let rows = sqlx::query_as::<_, (String, i64)>(select).fetch_all(&self.driver).await;
        let rows = rows.map_err(|source| StoreError::Read { table: "campaigns", source })?;
        let row = |(campaign, at): (String, i64)| {
            let campaign = campaign.parse().map_err(|source| StoreError::Id { table: "campaigns", source })?;
            Ok(CampaignRow { campaign, submitted_at_ms: from_column(at) })
        };
        rows.into_iter().map(row).collect()
    }

    /// The recipe of a campaign: the name of its file, and its text.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn recipe(&self, campaign: CampaignId) -> Result<Option<(String, String)>, StoreError> {
        let select = sqlx::query_as("SELECT file, text FROM recipes WHERE campaign = ?").bind(campaign.to_string());
        let found = select.fetch_optional(&self.readers).await;
        found.map_err(|source| StoreError::Read { table: "recipes", source })
    }

    /// The last report of a worker process that was taken in; `None` where it never reported anything.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError> {
        let select = sqlx::query_scalar("SELECT last_sequence FROM worker_streams WHERE worker = ?");
        let found = select.bind(worker.to_string()).fetch_optional(&self.driver).await;
        let found: Option<i64> = found.map_err(|source| StoreError::Read { table: "worker_streams", source })?;
        Ok(found.map(from_column))
    }

    /// The checkpoint of a stage at a step.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn checkpoint(&self, stage: StageKey, step: u64) -> Result<Option<CommittedCheckpoint>, StoreError> {
        let select = "SELECT step, attempt, manifest_path, manifest_hash, bytes FROM checkpoints \
                      WHERE stage = ? AND step = ?";
        let select = sqlx::query_as(select).bind(stage.to_string()).bind(to_column(step));
        found(stage, select.fetch_optional(&self.driver).await)
    }

    /// All checkpoints, with when each was committed, in milliseconds since 1970, in the order of stages and steps.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError> {
        let select = "SELECT stage, step, attempt, manifest_path, manifest_hash, bytes, committed_at_ms \
                      FROM checkpoints ORDER BY stage, step";
        let rows = sqlx::query_as::<_, (String, i64, u32, String, String, i64, i64)>(select);
        let rows = rows.fetch_all(&self.driver).await;
        let rows = rows.map_err(|source| StoreError::Read { table: "checkpoints", source })?;
        let row = |(stage, step, attempt, manifest_path, manifest_hash, bytes, at_ms): (String, _, _, _, _, _, _)| {
            let stage = stage.parse().map_err(|source| StoreError::Id { table: "checkpoints", source })?;
            let (attempt, step, bytes) = (Attempt(attempt), from_column(step), from_column(bytes));
            let checkpoint = CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes };
            Ok((checkpoint, from_column(at_ms)))
        };
        rows.into_iter().map(row).collect()
    }

    /// The last checkpoint of a stage.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn last_checkpoint(&self, stage: StageKey) -> Result<Option<CommittedCheckpoint>, StoreError> {
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
    let row = row.map_err(|source| StoreError::Read { table: "checkpoints", source })?;
    Ok(row.map(|(step, attempt, manifest_path, manifest_hash, bytes)| CommittedCheckpoint {
        stage,
        attempt: Attempt(attempt),
        step: from_column(step),
        manifest_path,
        manifest_hash,
        bytes: from_column(bytes),
    }))
}
