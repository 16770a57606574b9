//! What every store promises.

use std::fmt;

use async_trait::async_trait;
use scheduler::{Fact, Snapshot};
use vocabulary::{CampaignId, Rows, StageKey, WorkerId};

use super::commit::Commit;
use super::error::StoreError;
use super::log::{LogCheck, LogPosition};
use super::pools::{AllocationRow, PoolChange, PoolRow};
use super::rows::{AttemptRow, CampaignRow, CommittedCheckpoint, CurvePoint, RecipeText, WholeAttempt};
use super::snapshot::{PackedSnapshot, UnusableSnapshot};
use super::speaker::Speaker;
use super::term::Term;
use super::token::TokenRow;
use super::turn::{StorageNote, Turn};

/// Everything the coordinator remembers.
///
/// - **Atomic**: a [`Commit`] is kept whole or not at all, over the log and all tables, so neither is ahead of the other.
///   A commit that fails leaves nothing.
/// - **Ordered**: facts are appended to the log and numbered without gaps. Within a commit they apply in order, and before
///   its points: a fact that starts an attempt cuts the curve of its stage to the checkpoint the attempt starts from.
/// - **One writer**: every write of the log and its tables names the [`Term`] it is made in, and only the newest term
///   writes. Beginning a term ends the one before it: from then on its writes are refused with [`StoreError::Deposed`], and
///   what the new writer reads is all that the old one has committed or ever will.
/// - **Durable**: what [`commit`](Self::commit) returned from outlives everything the implementation says it outlives: for
///   SQLite and PostgreSQL, a loss of power.
/// - **Checked**: each row of the log is chained to the one before it, and the log's end is noted apart. Reading it gives
///   all of it or says which row is damaged. A snapshot is usable only if it is of this log and as it was written.
/// - **A curve has each step once**: the first row for a step stays. So do the first rows behind a result.
///
/// Reads see every commit that has returned. Tokens may be created and revoked beside the writer, from other processes.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Makes the caller the one writer, and ends the term before. Read the log after this, not before.
    ///
    /// # Errors
    /// If it cannot be written.
    async fn begin_term(&self) -> Result<Term, StoreError>;

    /// Asks whether this store may begin a term without ending another's, and keeps it for this store if so. Where whoever
    /// opened the store has it to itself already, it always may.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn take_turn(&self) -> Result<Turn, StoreError> {
        Ok(Turn::Taken)
    }

    /// Ends the term of a leader that hangs, so that somebody may take its turn.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn end_leader(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Shows others that the writer of a term lives, and resolves once the term is over, where the store can tell.
    async fn keep_term(&self, _term: Term) -> StoreError {
        std::future::pending().await
    }

    /// The storage that all coordinators of this store use; `None` where a data directory says that alone.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn noted_storage(&self) -> Result<Option<StorageNote>, StoreError> {
        Ok(None)
    }

    /// Notes the storage for the other coordinators of this store, where there may be others.
    ///
    /// # Errors
    /// If another term has begun, or if it cannot be written.
    async fn note_storage(&self, _term: Term, _note: &StorageNote) -> Result<(), StoreError> {
        Ok(())
    }

    /// Makes all of a commit durable, or nothing.
    ///
    /// # Errors
    /// If another term has begun, or if it cannot be written, for example because it refers to an attempt or a campaign
    /// that is not in the log. Nothing of it is kept, except where even that cannot be known: [`StoreError::Commit`].
    async fn commit(&self, term: Term, commit: &Commit) -> Result<(), StoreError>;

    /// The log from its beginning.
    ///
    /// # Errors
    /// As [`facts_after`](Self::facts_after).
    async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        self.facts_after(LogPosition::default()).await
    }

    /// The log from a position on.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged: a row is missing, cannot be decoded, or is not the one that was written.
    async fn facts_after(&self, position: LogPosition) -> Result<Vec<Fact>, StoreError>;

    /// Reads the whole log and compares each row with what the one before it makes of it.
    ///
    /// # Errors
    /// As [`facts_after`](Self::facts_after): the error names the first damaged row.
    async fn check_log(&self) -> Result<LogCheck, StoreError>;

    /// Stores the ledger as it was after `sequence` rows of the log, all of which are committed. Keeps the two newest
    /// snapshots. Does nothing if row `sequence` has no chain: its log cannot be told from another.
    ///
    /// # Errors
    /// If another term has begun, or if it cannot be written.
    async fn save_snapshot(
        &self,
        term: Term,
        sequence: u64,
        at_ms: u64,
        packed: &PackedSnapshot,
    ) -> Result<(), StoreError>;

    /// The snapshots, newest first: the position each ends at, and the snapshot or why it cannot be used.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn snapshots(&self) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError>;

    /// Deletes the snapshot after `sequence` rows of the log, if there is one.
    ///
    /// # Errors
    /// If another term has begun, or if it cannot be written.
    async fn delete_snapshot(&self, term: Term, sequence: u64) -> Result<(), StoreError>;

    /// Every campaign that was ever accepted, by its identifier.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn campaign_rows(&self) -> Result<Vec<CampaignRow>, StoreError>;

    /// The recipe a campaign was last submitted with.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn recipe(&self, campaign: CampaignId) -> Result<Option<RecipeText>, StoreError>;

    /// The curve of a stage, by step: at most `limit` points, starting with step `from`.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn curve(&self, stage: StageKey, from: u64, limit: usize) -> Result<Vec<CurvePoint>, StoreError>;

    /// The rows behind a stage's or an evaluation's result; none if it has no result, or an earlier version committed it.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn rows(&self, stage: StageKey) -> Result<Rows, StoreError>;

    /// The checkpoint of a stage at a step.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn checkpoint(&self, stage: StageKey, step: u64) -> Result<Option<CommittedCheckpoint>, StoreError>;

    /// The last checkpoint of a stage.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn last_checkpoint(&self, stage: StageKey) -> Result<Option<CommittedCheckpoint>, StoreError>;

    /// All checkpoints by stage and step, each with the time of its commit in milliseconds since 1970 (zero where that
    /// was not recorded).
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError>;

    /// The folders of the storage whose files are still to be deleted, in their order.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn deletions(&self) -> Result<Vec<String>, StoreError>;

    /// The number of the last report of a worker process that was taken in; `None` if there was none.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError>;

    /// Who speaks for a worker process. Anybody, if it has never said hello.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn speaker(&self, worker: WorkerId) -> Result<Speaker, StoreError>;

    /// Adds a token.
    ///
    /// # Errors
    /// If it cannot be written.
    async fn add_token(&self, row: &TokenRow) -> Result<(), StoreError>;

    /// Looks a token up by its public part.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn token(&self, token: &str) -> Result<Option<TokenRow>, StoreError>;

    /// Every token that was ever created, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError>;

    /// Revokes a token for good. Returns whether there was one to revoke.
    ///
    /// # Errors
    /// If it cannot be written.
    async fn revoke_token(&self, token: &str, at_ms: u64) -> Result<bool, StoreError>;

    /// Changes a pool or an allocation.
    ///
    /// # Errors
    /// If another term has begun, or if it cannot be written. Nothing of it is kept, as for [`commit`](Self::commit).
    async fn change_pools(&self, term: Term, change: &PoolChange) -> Result<(), StoreError>;

    /// Every pool, by name.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn pools(&self) -> Result<Vec<PoolRow>, StoreError>;

    /// The allocations of all pools that are not over, by their names.
    ///
    /// # Errors
    /// If they cannot be read.
    async fn allocations(&self) -> Result<Vec<AllocationRow>, StoreError>;

    /// The facts that say which stages campaigns want, in order. The rest of the log is neither read nor checked.
    ///
    /// # Errors
    /// If they cannot be read or decoded.
    async fn campaign_facts(&self) -> Result<Vec<Fact>, StoreError>;

    /// Every attempt at the stages and evaluations of a campaign, by stage and number.
    ///
    /// # Errors
    /// If the tables cannot be read.
    async fn attempts(&self, campaign: CampaignId) -> Result<Vec<AttemptRow>, StoreError>;

    /// The stages that a single attempt trained from beginning to end, by stage.
    ///
    /// # Errors
    /// If the table cannot be read.
    async fn whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError>;

    /// Compares the tables that follow from the log with it.
    ///
    /// # Errors
    /// If the log or a table cannot be read or written, or if they are to be rewritten and another term has begun. Nothing is changed then.
    async fn check_derived(&self, differences: Differences) -> Result<DerivedCheck, StoreError>;

    /// What the engine itself finds wrong with its data: one line each, none if it is sound.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn check_engine(&self) -> Result<Vec<String>, StoreError>;

    /// Closes the store once nobody reads it any more. What was committed is safe without it.
    async fn close(&self);
}

/// What to do about tables that differ from what the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// Only report them.
    Leave,
    /// Rewrite the tables from the log, as the writer in this term.
    Rewrite(Term),
}

/// How the tables that follow from the log compare with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivedCheck {
    /// The tables that differed.
    pub wrong: Vec<&'static str>,
    pub rows: usize,
}
