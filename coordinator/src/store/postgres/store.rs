//! The contract, method by method. Each statement is in the file of its table.

use async_trait::async_trait;
use scheduler::{Fact, Snapshot};
use vocabulary::{CampaignId, Rows, StageKey, WorkerId};

use super::error::cannot_read;
use super::open::PostgresStore;
use crate::store::{
    AllocationRow, AttemptRow, CampaignRow, Commit, CommittedCheckpoint, CurvePoint, DerivedCheck, Differences,
    LogCheck, LogPosition, PackedSnapshot, PoolChange, PoolRow, RecipeText, Speaker, StorageNote, Store, StoreError,
    Term, TokenRow, Turn, UnusableSnapshot, WholeAttempt,
};

#[async_trait]
impl Store for PostgresStore {
    async fn begin_term(&self) -> Result<Term, StoreError> {
        self.raise_term().await
    }

    async fn take_turn(&self) -> Result<Turn, StoreError> {
        self.try_lead().await
    }

    async fn end_leader(&self) -> Result<(), StoreError> {
        self.depose().await
    }

    async fn keep_term(&self, term: Term) -> StoreError {
        self.keep_alive(term).await
    }

    async fn noted_storage(&self) -> Result<Option<StorageNote>, StoreError> {
        self.read_storage().await
    }

    async fn note_storage(&self, term: Term, note: &StorageNote) -> Result<(), StoreError> {
        self.write_storage(term, note).await
    }

    async fn commit(&self, term: Term, commit: &Commit) -> Result<(), StoreError> {
        self.write_commit(term, commit).await
    }

    async fn facts_after(&self, position: LogPosition) -> Result<Vec<Fact>, StoreError> {
        self.read_facts(position).await
    }

    async fn check_log(&self) -> Result<LogCheck, StoreError> {
        self.read_whole_log().await
    }

    async fn save_snapshot(
        &self,
        term: Term,
        sequence: u64,
        at_ms: u64,
        packed: &PackedSnapshot,
    ) -> Result<(), StoreError> {
        self.write_snapshot(term, sequence, at_ms, packed).await
    }

    async fn delete_snapshot(&self, term: Term, sequence: u64) -> Result<(), StoreError> {
        self.remove_snapshot(term, sequence).await
    }

    async fn snapshots(&self) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError> {
        self.read_snapshots().await
    }

    async fn campaign_rows(&self) -> Result<Vec<CampaignRow>, StoreError> {
        self.read_campaigns().await
    }

    async fn recipe(&self, campaign: CampaignId) -> Result<Option<RecipeText>, StoreError> {
        self.read_recipe(campaign).await
    }

    async fn curve(&self, stage: StageKey, from: u64, limit: usize) -> Result<Vec<CurvePoint>, StoreError> {
        self.read_curve(stage, from, limit).await
    }

    async fn rows(&self, stage: StageKey) -> Result<Rows, StoreError> {
        self.read_rows(stage).await
    }

    async fn checkpoint(&self, stage: StageKey, step: u64) -> Result<Option<CommittedCheckpoint>, StoreError> {
        self.read_checkpoint(stage, step).await
    }

    async fn last_checkpoint(&self, stage: StageKey) -> Result<Option<CommittedCheckpoint>, StoreError> {
        self.read_last_checkpoint(stage).await
    }

    async fn checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError> {
        self.read_checkpoints().await
    }

    async fn deletions(&self) -> Result<Vec<String>, StoreError> {
        let select = sqlx::query_scalar("SELECT folder FROM deletions ORDER BY folder");
        select.fetch_all(&self.reads).await.map_err(cannot_read("deletions"))
    }

    async fn change_pools(&self, term: Term, change: &PoolChange) -> Result<(), StoreError> {
        self.write_pool_change(term, change).await
    }

    async fn pools(&self) -> Result<Vec<PoolRow>, StoreError> {
        self.read_pools().await
    }

    async fn allocations(&self) -> Result<Vec<AllocationRow>, StoreError> {
        self.read_allocations().await
    }

    async fn last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError> {
        self.read_last_sequence(worker).await
    }

    async fn speaker(&self, worker: WorkerId) -> Result<Speaker, StoreError> {
        self.read_speaker(worker).await
    }

    async fn add_token(&self, row: &TokenRow) -> Result<(), StoreError> {
        self.insert_token(row).await
    }

    async fn token(&self, token: &str) -> Result<Option<TokenRow>, StoreError> {
        self.read_token(token).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read_tokens().await
    }

    async fn revoke_token(&self, token: &str, at_ms: u64) -> Result<bool, StoreError> {
        self.mark_token_revoked(token, at_ms).await
    }

    async fn campaign_facts(&self) -> Result<Vec<Fact>, StoreError> {
        self.read_campaign_facts().await
    }

    async fn attempts(&self, campaign: CampaignId) -> Result<Vec<AttemptRow>, StoreError> {
        self.read_attempts(campaign).await
    }

    async fn whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError> {
        self.read_whole_attempts().await
    }

    async fn check_derived(&self, differences: Differences) -> Result<DerivedCheck, StoreError> {
        self.compare_derived(differences).await
    }

    async fn check_engine(&self) -> Result<Vec<String>, StoreError> {
        self.check_file().await
    }

    async fn close(&self) {
        self.disconnect().await;
    }
}
