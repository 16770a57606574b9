//! One transaction: everything that a turn of the driver makes durable.

use scheduler::Fact;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, Transaction};
use vocabulary::{CampaignId, StageKey, WorkerId};

use super::error::{cannot_begin, cannot_commit, cannot_write};
use super::log::Appender;
use super::open::SqliteStore;
use super::{curve, follow, rows, tokens};
use crate::store::columns::to_column;
use crate::store::commit::PassingCheckpoints;
use crate::store::{Commit, CommittedCheckpoint, StoreError, Term};

impl SqliteStore {
    pub(super) async fn write_commit(&self, term: Term, commit: &Commit) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        write(&mut transaction, term, commit).await?;
        transaction.commit().await.map_err(cannot_commit)
    }

    /// Takes the write lock at once. A transaction that finds out later that it needs it may be refused without a wait.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.driver.begin_with("BEGIN IMMEDIATE").await.map_err(cannot_begin)
    }
}

async fn write(connection: &mut SqliteConnection, term: Term, commit: &Commit) -> Result<(), StoreError> {
    // Facts before points: an attempt that starts cuts its curve.
    let mut passing = PassingCheckpoints::default();
    let mut log = Appender::at_the_end(connection, term).await?;
    for fact in &commit.facts {
        log.append(connection, commit.at_ms, fact).await?;
        passing.note(fact);
        match fact {
            Fact::CheckpointRemoved { stage, step, .. } => remove_checkpoint(connection, *stage, *step).await?,
            Fact::CampaignForgotten { campaign } => forget_measured(connection, *campaign).await?,
            Fact::AttemptStarted { stage, .. } => curve::cut(connection, *stage, passing.last_of(stage)).await?,
            _ => {}
        }
        follow::write(connection, commit.at_ms, fact).await?;
    }
    if !commit.facts.is_empty() {
        log.finish(connection).await?;
    }
    curve::add(connection, &commit.curve).await?;
    rows::add(connection, &commit.rows).await?;
    for checkpoint in commit.checkpoints.iter().filter(|checkpoint| passing.is_kept(checkpoint)) {
        add_checkpoint(connection, commit.at_ms, checkpoint).await?;
    }
    for folder in &commit.to_delete {
        let insert = sqlx::query("INSERT INTO deletions (folder) VALUES (?) ON CONFLICT DO NOTHING").bind(folder);
        insert.execute(&mut *connection).await.map_err(cannot_write("deletions"))?;
    }
    for folder in &commit.deleted {
        let delete = sqlx::query("DELETE FROM deletions WHERE folder = ?").bind(folder);
        delete.execute(&mut *connection).await.map_err(cannot_write("deletions"))?;
    }
    for (campaign, file, text) in &commit.recipes {
        set_recipe(connection, *campaign, file, text).await?;
    }
    for (worker, sequence) in &commit.session {
        set_sequence(connection, *worker, *sequence).await?;
    }
    for (worker, speaker) in &commit.speakers {
        tokens::bind(connection, *worker, speaker).await?;
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
    insert.execute(connection).await.map_err(cannot_write("checkpoints"))?;
    Ok(())
}

async fn remove_checkpoint(connection: &mut SqliteConnection, stage: StageKey, step: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM checkpoints WHERE stage = ? AND step = ?";
    let delete = sqlx::query(delete).bind(stage.to_string()).bind(to_column(step));
    delete.execute(connection).await.map_err(cannot_write("checkpoints"))?;
    Ok(())
}

/// Removes what was measured of the stages that only this campaign has, their checkpoints and its recipe. The rows that follow
/// from the log go after that.
async fn forget_measured(connection: &mut SqliteConnection, campaign: CampaignId) -> Result<(), StoreError> {
    let campaign = campaign.to_string();
    let series = format!("SELECT id FROM curve_series WHERE stage IN {}", follow::ONLY_OF);
    let delete = AssertSqlSafe(format!("DELETE FROM curve_measurements WHERE series IN ({series})"));
    let delete = sqlx::query(delete).bind(&campaign).execute(&mut *connection).await;
    delete.map_err(cannot_write("curve_measurements"))?;
    for table in ["curve_series", "curve_points", "result_rows", "checkpoints"] {
        follow::delete_only_of(connection, table, &campaign).await?;
    }
    let delete = sqlx::query("DELETE FROM recipes WHERE campaign = ?").bind(&campaign);
    delete.execute(connection).await.map_err(cannot_write("recipes"))?;
    Ok(())
}

/// A campaign may be submitted again from another file: the latest one counts.
async fn set_recipe(
    connection: &mut SqliteConnection,
    campaign: CampaignId,
    file: &str,
    text: &str,
) -> Result<(), StoreError> {
    let upsert = "INSERT INTO recipes (campaign, file, text) VALUES (?, ?, ?) \
                  ON CONFLICT (campaign) DO UPDATE SET file = excluded.file, text = excluded.text";
    let upsert = sqlx::query(upsert).bind(campaign.to_string()).bind(file).bind(text);
    upsert.execute(connection).await.map_err(cannot_write("recipes"))?;
    Ok(())
}

async fn set_sequence(connection: &mut SqliteConnection, worker: WorkerId, sequence: u64) -> Result<(), StoreError> {
    let upsert = "INSERT INTO worker_streams (worker, last_sequence) VALUES (?, ?) \
                  ON CONFLICT (worker) DO UPDATE SET last_sequence = excluded.last_sequence";
    let upsert = sqlx::query(upsert).bind(worker.to_string()).bind(to_column(sequence));
    upsert.execute(connection).await.map_err(cannot_write("worker_streams"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::Store as _;

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
        let store = SqliteStore::open(&dir.path().join("store.sqlite")).await.expect("it opens");
        let (term, commit) = (store.begin_term().await.expect("it begins"), commit());

        let mut transaction = store.begin().await.expect("nobody else writes");
        write(&mut transaction, term, &commit).await.expect("it is written");
        copy(dir.path(), before.path());
        transaction.commit().await.expect("it is committed");
        copy(dir.path(), after.path());

        let worker = commit.session[0].0;
        let cut_off = SqliteStore::open(&before.path().join("store.sqlite")).await.expect("it opens");
        assert_eq!(cut_off.facts().await.expect("the log is sound"), []);
        assert_eq!(cut_off.last_sequence(worker).await.expect("it can be read"), None);
        let whole = SqliteStore::open(&after.path().join("store.sqlite")).await.expect("it opens");
        assert_eq!(whole.facts().await.expect("the log is sound"), commit.facts);
        assert_eq!(whole.last_sequence(worker).await.expect("it can be read"), Some(7));
    }

    #[tokio::test]
    async fn on_a_full_disk_nothing_of_a_commit_is_kept_and_all_before_it_is() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.sqlite");
        let store = SqliteStore::open(&path).await.expect("it opens");
        let (first, worker) = (commit(), commit().session[0].0);
        let term = store.begin_term().await.expect("it begins");
        store.commit(term, &first).await.expect("there is room");
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
        let error = store.commit(term, &many).await.expect_err("there is no room");
        assert!(error.is_retryable(), "room comes back");
        let cause = std::error::Error::source(&error).expect("it has one").to_string();
        assert!(cause.contains("full"), "{cause}");
        // The same coordinator continues once there is room.
        let roomy = "PRAGMA max_page_count = 1000000";
        sqlx::query(roomy).execute(&store.driver).await.expect("it is set");
        let one = Commit { session: vec![(worker, 7)], facts: Vec::new(), ..first.clone() };
        store.commit(term, &one).await.expect("there is room");
        store.close().await;

        let store = SqliteStore::open(&path).await.expect("it is sound");
        assert_eq!(store.facts().await.expect("the log is sound"), first.facts);
        assert_eq!(store.last_sequence(worker).await.expect("it can be read"), Some(7));
        store.commit(term, &many).await.expect("there is room again");
        assert_eq!(store.facts().await.expect("the log is sound").len(), 1001);
    }
}
