//! One transaction: everything that a turn of the driver makes durable.

use scheduler::Fact;
use sqlx::{AssertSqlSafe, PgConnection};
use vocabulary::{CampaignId, StageKey, WorkerId};

use super::error::cannot_write;
use super::log::Appender;
use super::number::{number, text};
use super::open::PostgresStore;
use super::{curve, follow, rows, tokens};
use crate::store::columns::to_column;
use crate::store::commit::PassingCheckpoints;
use crate::store::{Commit, CommittedCheckpoint, StoreError, Term};

impl PostgresStore {
    pub(super) async fn write_commit(&self, term: Term, commit: &Commit) -> Result<(), StoreError> {
        let mut transaction = self.begin(term).await?;
        let written = write(transaction.connection(), term, commit).await;
        transaction.end(written).await
    }
}

async fn write(connection: &mut PgConnection, term: Term, commit: &Commit) -> Result<(), StoreError> {
    // Facts before points: an attempt that starts cuts its curve.
    let mut passing = PassingCheckpoints::default();
    let mut log = Appender::at_the_end(connection).await?;
    for fact in &commit.facts {
        log.append(connection, term, commit.at_ms, fact).await?;
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
        log.finish(connection, term).await?;
    }
    curve::add(connection, &commit.curve).await?;
    rows::add(connection, &commit.rows).await?;
    for checkpoint in commit.checkpoints.iter().filter(|checkpoint| passing.is_kept(checkpoint)) {
        add_checkpoint(connection, commit.at_ms, checkpoint).await?;
    }
    for folder in &commit.to_delete {
        let insert = sqlx::query("INSERT INTO deletions (folder) VALUES ($1) ON CONFLICT DO NOTHING").bind(folder);
        insert.execute(&mut *connection).await.map_err(cannot_write("deletions"))?;
    }
    for folder in &commit.deleted {
        let delete = sqlx::query("DELETE FROM deletions WHERE folder = $1").bind(folder);
        delete.execute(&mut *connection).await.map_err(cannot_write("deletions"))?;
    }
    for (campaign, file, contents) in &commit.recipes {
        set_recipe(connection, *campaign, file, contents).await?;
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
    connection: &mut PgConnection,
    at_ms: u64,
    checkpoint: &CommittedCheckpoint,
) -> Result<(), StoreError> {
    let CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes } = checkpoint;
    let insert = "INSERT INTO checkpoints (stage, step, attempt, manifest_path, manifest_hash, bytes, committed_at_ms) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let insert = sqlx::query(insert)
        .bind(stage.to_string())
        .bind(to_column(*step))
        .bind(number(*attempt))
        .bind(text(manifest_path))
        .bind(text(manifest_hash))
        .bind(to_column(*bytes))
        .bind(to_column(at_ms));
    insert.execute(connection).await.map_err(cannot_write("checkpoints"))?;
    Ok(())
}

async fn remove_checkpoint(connection: &mut PgConnection, stage: StageKey, step: u64) -> Result<(), StoreError> {
    let delete = "DELETE FROM checkpoints WHERE stage = $1 AND step = $2";
    let delete = sqlx::query(delete).bind(stage.to_string()).bind(to_column(step));
    delete.execute(connection).await.map_err(cannot_write("checkpoints"))?;
    Ok(())
}

/// Removes what was measured of the stages that only this campaign has, their checkpoints and its recipe. The rows that follow
/// from the log go after that.
async fn forget_measured(connection: &mut PgConnection, campaign: CampaignId) -> Result<(), StoreError> {
    let campaign = campaign.to_string();
    let series = format!("SELECT id FROM curve_series WHERE stage IN {}", follow::ONLY_OF);
    let delete = AssertSqlSafe(format!("DELETE FROM curve_measurements WHERE series IN ({series})"));
    let delete = sqlx::query(delete).bind(&campaign).execute(&mut *connection).await;
    delete.map_err(cannot_write("curve_measurements"))?;
    for table in ["curve_series", "curve_points", "result_rows", "checkpoints"] {
        follow::delete_only_of(connection, table, &campaign).await?;
    }
    let delete = sqlx::query("DELETE FROM recipes WHERE campaign = $1").bind(&campaign);
    delete.execute(connection).await.map_err(cannot_write("recipes"))?;
    Ok(())
}

/// A campaign may be submitted again from another file: the latest one counts.
async fn set_recipe(
    connection: &mut PgConnection,
    campaign: CampaignId,
    file: &str,
    contents: &str,
) -> Result<(), StoreError> {
    let upsert = "INSERT INTO recipes (campaign, file, text) VALUES ($1, $2, $3) \
                  ON CONFLICT (campaign) DO UPDATE SET file = excluded.file, text = excluded.text";
    let upsert = sqlx::query(upsert).bind(campaign.to_string()).bind(text(file)).bind(text(contents));
    upsert.execute(connection).await.map_err(cannot_write("recipes"))?;
    Ok(())
}

async fn set_sequence(connection: &mut PgConnection, worker: WorkerId, sequence: u64) -> Result<(), StoreError> {
    let upsert = "INSERT INTO worker_streams (worker, last_sequence) VALUES ($1, $2) \
                  ON CONFLICT (worker) DO UPDATE SET last_sequence = excluded.last_sequence";
    let upsert = sqlx::query(upsert).bind(worker.to_string()).bind(to_column(sequence));
    upsert.execute(connection).await.map_err(cannot_write("worker_streams"))?;
    Ok(())
}
