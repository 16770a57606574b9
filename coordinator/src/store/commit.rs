//! One transaction: everything that a turn of the driver makes durable.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::Fact;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use vocabulary::{AttemptKey, CampaignId, StageKey, WorkerId};

use super::curve::{self, CurvePoint};
use super::error::StoreError;
use super::follow;
use super::log::Appender;
use super::number::to_column;
use super::open::Store;
use super::queries::CommittedCheckpoint;
use super::tokens;

/// What is committed together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What the scheduler decided, in order.
    pub facts: Vec<Fact>,
    /// Points of curves, by the attempt that measured them.
    pub curve: Vec<(AttemptKey, Vec<CurvePoint>)>,
    /// Checkpoints that exist from now on.
    pub checkpoints: Vec<CommittedCheckpoint>,
    /// Where campaigns came from: the name of the file, and its text.
    pub recipes: Vec<(CampaignId, String, String)>,
    /// The last report of each worker that was taken in.
    pub session: Vec<(WorkerId, u64)>,
    /// Workers that said hello for the first time under a token.
    pub tokens: Vec<(WorkerId, String)>,
}

impl Store {
    /// Makes all of it durable, or nothing.
    ///
    /// # Errors
    /// If it cannot be written. Nothing of it is kept then, save where even that could not be found out:
    /// [`StoreError::Commit`].
    pub async fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        write(&mut transaction, commit).await?;
        transaction.commit().await.map_err(StoreError::Commit)
    }

    /// Takes the right to write at once. A transaction that finds out later that it needs it may be refused it without a
    /// wait.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.driver.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Begin)
    }
}

async fn write(connection: &mut SqliteConnection, commit: &Commit) -> Result<(), StoreError> {
    // Facts before points: an attempt that starts cuts its curve. The rows of checkpoints come after both, and a fact
    // may rest on a checkpoint of the same commit, so these are remembered on the way.
    let mut checkpoints: BTreeMap<StageKey, BTreeSet<u64>> = BTreeMap::new();
    let mut removed = BTreeSet::new();
    let mut log = Appender::at_the_end(connection).await?;
    for fact in &commit.facts {
        log.append(connection, commit.at_ms, fact).await?;
        match fact {
            Fact::CheckpointCommitted { stage, step, .. } => {
                checkpoints.entry(*stage).or_default().insert(*step);
                removed.remove(&(*stage, *step));
            }
            Fact::CheckpointRemoved { stage, step, .. } => {
                if let Some(steps) = checkpoints.get_mut(stage) {
                    steps.remove(step);
                }
                removed.insert((*stage, *step));
                remove_checkpoint(connection, *stage, *step).await?;
            }
            Fact::AttemptStarted { stage, .. } => {
                curve::cut(connection, *stage, checkpoints.get(stage).and_then(BTreeSet::last).copied()).await?;
            }
            _ => {}
        }
        follow::write(connection, commit.at_ms, fact).await?;
    }
    if !commit.facts.is_empty() {
        log.finish(connection).await?;
    }
    curve::add(connection, &commit.curve).await?;
    let is_there = |checkpoint: &&CommittedCheckpoint| !removed.contains(&(checkpoint.stage, checkpoint.step));
    for checkpoint in commit.checkpoints.iter().filter(is_there) {
        add_checkpoint(connection, commit.at_ms, checkpoint).await?;
    }
    for (campaign, file, text) in &commit.recipes {
        set_recipe(connection, *campaign, file, text).await?;
    }
    for (worker, sequence) in &commit.session {
        set_sequence(connection, *worker, *sequence).await?;
    }
    for (worker, token) in &commit.tokens {
        tokens::bind(connection, *worker, token).await?;
    }
    Ok(())
}

async fn add_checkpoint(
    connection: &mut SqliteConnection,
    at_ms: u64,
    checkpoint: &CommittedCheckpoint,
) -> Result<(), StoreError> {
    let CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes } = checkpoint;
    let insert = "INSERT INTO checkpoints (stage, step, attempt, manifest_path, manifest_hash, bytes, committed_at_ms) \
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert)
        .bind(stage.to_string())
        .bind(to_column(*step))
        .bind(attempt.0)
        .bind(manifest_path)
        .bind(manifest_hash)
        .bind(to_column(*bytes))
        .bind(to_column(at_ms));
    insert.execute(connection).await.map_err(|source| StoreError::Write { table: "checkpoints", source })?;
    Ok(())
}

async fn remove_checkpoint(connection: &mut SqliteConnection, stage: StageKey, step: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM checkpoints WHERE stage = ? AND step = ?";
    let delete = sqlx::query(delete).bind(stage.to_string()).bind(to_column(step));
    delete.execute(connection).await.map_err(|source| StoreError::Write { table: "checkpoints", source })?;
    Ok(())
}

/// The same campaign may come again from another file: the latest counts.
async fn set_recipe(
    connection: &mut SqliteConnection,
    campaign: CampaignId,
    file: &str,
    text: &str,
) -> Result<(), StoreError> {
    let upsert = "INSERT INTO recipes (campaign, file, text) VALUES (?, ?, ?) \
                  ON CONFLICT (campaign) DO UPDATE SET file = excluded.file, text = excluded.text";
    let upsert = sqlx::query(upsert).bind(campaign.to_string()).bind(file).bind(text);
    upsert.execute(connection).await.map_err(|source| StoreError::Write { table: "recipes", source })?;
    Ok(())
}

async fn set_sequence(connection: &mut SqliteConnection, worker: WorkerId, sequence: u64) -> Result<(), StoreError> {
    let upsert = "INSERT INTO worker_streams (worker, last_sequence) VALUES (?, ?) \
                  ON CONFLICT (worker) DO UPDATE SET last_sequence = excluded.last_sequence";
    let upsert = sqlx::query(upsert).bind(worker.to_string()).bind(to_column(sequence));
    upsert.execute(connection).await.map_err(|source| StoreError::Write { table: "worker_streams", source })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn commit() -> Commit {
        let worker = WorkerId::from_content(b"a worker");
        let fact = Fact::CampaignCancelled { campaign: CampaignId::from_content(b"a campaign") };
        Commit { at_ms: 1, facts: vec![fact], session: vec![(worker, 7)], ..Commit::default() }
    }

    /// What a loss of power would leave of a database at this moment.
    fn copy(from: &Path, to: &Path) {
        for file in ["store.sqlite", "store.sqlite-wal"] {
            std::fs::copy(from.join(file), to.join(file)).expect("it is copied");
        }
    }

    #[tokio::test]
    async fn cut_off_before_the_commit_nothing_is_there_and_after_it_everything() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (before, after) = (tempfile::tempdir().expect("another"), tempfile::tempdir().expect("another"));
        let store = Store::open(&dir.path().join("store.sqlite")).await.expect("it opens");
        let commit = commit();

        let mut transaction = store.begin().await.expect("nobody else writes");
        write(&mut transaction, &commit).await.expect("it is written");
        copy(dir.path(), before.path());
        transaction.commit().await.expect("it is committed");
        copy(dir.path(), after.path());

        let worker = commit.session[0].0;
        let cut_off = Store::open(&before.path().join("store.sqlite")).await.expect("it opens");
        assert_eq!(cut_off.facts().await.expect("the log is sound"), []);
        assert_eq!(cut_off.last_sequence(worker).await.expect("it can be read"), None);
        let whole = Store::open(&after.path().join("store.sqlite")).await.expect("it opens");
        assert_eq!(whole.facts().await.expect("the log is sound"), commit.facts);
        assert_eq!(whole.last_sequence(worker).await.expect("it can be read"), Some(7));
    }

    #[tokio::test]
    async fn on_a_full_disk_nothing_of_a_commit_is_kept_and_all_before_it_is() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.sqlite");
        let store = Store::open(&path).await.expect("it opens");
        let (first, worker) = (commit(), commit().session[0].0);
        store.commit(&first).await.expect("there is room");
        // What the database is told when there is no page left.
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.driver).await.expect("a number");
        let full = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(full).execute(&store.driver).await.expect("it is set");
        let campaign = CampaignId::from_content(b"another");
        let many = Commit {
            facts: vec![Fact::CampaignCancelled { campaign }; 1000],
            session: vec![(worker, 8)],
            ..first.clone()
        };
        let error = store.commit(&many).await.expect_err("there is no room");
        assert!(!error.is_retryable());
        let cause = std::error::Error::source(&error).expect("it has one").to_string();
        assert!(cause.contains("full"), "{cause}");
        store.close().await;

        let store = Store::open(&path).await.expect("it is sound");
        assert_eq!(store.facts().await.expect("the log is sound"), first.facts);
        assert_eq!(store.last_sequence(worker).await.expect("it can be read"), Some(7));
        store.commit(&many).await.expect("there is room again");
        assert_eq!(store.facts().await.expect("the log is sound").len(), 1001);
    }
}
