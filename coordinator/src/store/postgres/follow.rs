//! The tables that follow from the log and that people query: campaigns, stages, attempts, results and what they measured.

use scheduler::Fact;
use sqlx::{AssertSqlSafe, PgConnection, QueryBuilder};
use vocabulary::{AttemptKey, CampaignId, Evaluation, Plan, Stage};

use super::error::cannot_write;
use super::measurements;
use super::number::{number, text};
use crate::store::StoreError;
use crate::store::columns::to_column;

/// Rows per `INSERT`. PostgreSQL takes at most 65535 values, and no row here has more than six.
const ROWS: usize = 1000;

/// Writes what follows from a fact.
pub(super) async fn write(connection: &mut PgConnection, at_ms: u64, fact: &Fact) -> Result<(), StoreError> {
    match fact {
        Fact::CampaignAccepted { plan } => accept(connection, at_ms, plan).await,
        Fact::CampaignGrown { growth } => {
            want(connection, growth.campaign, &growth.stages).await?;
            want_evaluations(connection, growth.campaign, &growth.evaluations).await
        }
        Fact::AttemptStarted { stage, worker, attempt, .. } => {
            let insert = "INSERT INTO attempts (stage, attempt, worker, started_at_ms) VALUES ($1, $2, $3, $4)";
            let insert = sqlx::query(insert)
                .bind(stage.to_string())
                .bind(number(*attempt))
                .bind(worker.to_string())
                .bind(to_column(at_ms));
            insert.execute(connection).await.map_err(cannot_write("attempts"))?;
            Ok(())
        }
        Fact::StageCompleted { stage, attempt, result } => {
            end(connection, at_ms, AttemptKey { stage: *stage, attempt: *attempt }, "completed").await?;
            // A stage that was trained again keeps its first result.
            let insert = "INSERT INTO results (stage, attempt) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            let insert =
                sqlx::query(insert).bind(stage.to_string()).bind(number(*attempt)).execute(&mut *connection).await;
            if insert.map_err(cannot_write("results"))?.rows_affected() > 0 {
                measurements::add_result(connection, *stage, result).await?;
            }
            Ok(())
        }
        Fact::StageDiverged { stage, attempt, step, loss } => {
            end(connection, at_ms, AttemptKey { stage: *stage, attempt: *attempt }, "diverged").await?;
            let insert = "INSERT INTO results (stage, attempt, diverged_at_step, diverged_loss) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT DO NOTHING";
            let insert =
                sqlx::query(insert).bind(stage.to_string()).bind(number(*attempt)).bind(to_column(*step)).bind(*loss);
            insert.execute(connection).await.map_err(cannot_write("results"))?;
            Ok(())
        }
        Fact::AttemptEnded { stage, attempt, why, .. } => {
            end(connection, at_ms, AttemptKey { stage: *stage, attempt: *attempt }, &why.to_string()).await
        }
        Fact::CampaignForgotten { campaign } => forget(connection, *campaign).await,
        // A checkpoint's row holds more than the fact says, so the commit adds and removes it. The rest is only in the log.
        Fact::CheckpointCommitted { .. }
        | Fact::CheckpointRemoved { .. }
        | Fact::CampaignCancelled { .. }
        | Fact::EvaluationsCancelled { .. }
        | Fact::RetriesChanged { .. }
        | Fact::WeightChanged { .. }
        | Fact::StagePoisoned { .. }
        | Fact::StageRetried { .. }
        | Fact::StageReopened { .. } => Ok(()),
    }
}

/// Adds a campaign and its stages unless they are there: a cancelled campaign may be accepted again.
async fn accept(connection: &mut PgConnection, at_ms: u64, plan: &Plan) -> Result<(), StoreError> {
    let insert = "INSERT INTO campaigns (campaign, name, submitted_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert).bind(plan.campaign.to_string()).bind(text(&plan.name)).bind(to_column(at_ms));
    insert.execute(&mut *connection).await.map_err(cannot_write("campaigns"))?;
    want(connection, plan.campaign, &plan.stages).await?;
    want_evaluations(connection, plan.campaign, &plan.evaluations).await
}

/// Adds the stages of a campaign unless they are there: campaigns share stages.
async fn want(connection: &mut PgConnection, campaign: CampaignId, stages: &[Stage]) -> Result<(), StoreError> {
    let campaign = campaign.to_string();
    for stages in stages.chunks(ROWS) {
        let mut insert = QueryBuilder::new("INSERT INTO stages (stage, parent, size, seed, start_step, end_step) ");
        insert.push_values(stages, |mut row, stage| {
            row.push_bind(stage.key.to_string())
                .push_bind(stage.parent.map(|parent| parent.to_string()))
                .push_bind(text(&stage.size))
                .push_bind(to_column(stage.seed))
                .push_bind(to_column(stage.spec.steps.start))
                .push_bind(to_column(stage.spec.steps.end));
        });
        insert.push(" ON CONFLICT DO NOTHING");
        let insert = insert.build().persistent(false);
        insert.execute(&mut *connection).await.map_err(cannot_write("stages"))?;

        let mut insert = QueryBuilder::new("INSERT INTO campaign_stages (campaign, stage) ");
        insert.push_values(stages, |mut row, stage| {
            row.push_bind(&campaign).push_bind(stage.key.to_string());
        });
        insert.push(" ON CONFLICT DO NOTHING");
        let insert = insert.build().persistent(false);
        insert.execute(&mut *connection).await.map_err(cannot_write("campaign_stages"))?;
    }
    Ok(())
}

/// Adds evaluations of a campaign's stages, as far as they are new: a row that begins and ends where its stage does.
async fn want_evaluations(
    connection: &mut PgConnection,
    campaign: CampaignId,
    evaluations: &[Evaluation],
) -> Result<(), StoreError> {
    for Evaluation { key, parent, size, seed, .. } in evaluations {
        let insert = "INSERT INTO stages (stage, parent, size, seed, start_step, end_step) \
                      SELECT $1, stage, $2, $3::bigint, end_step, end_step FROM stages WHERE stage = $4 ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(key.to_string()).bind(text(size)).bind(to_column(*seed));
        let insert = insert.bind(parent.to_string()).execute(&mut *connection).await;
        insert.map_err(cannot_write("stages"))?;
        let insert = "INSERT INTO campaign_stages (campaign, stage) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(campaign.to_string()).bind(key.to_string());
        insert.execute(&mut *connection).await.map_err(cannot_write("campaign_stages"))?;
    }
    Ok(())
}

/// The stages that only one campaign has, by its identifier.
pub(super) const ONLY_OF: &str = "(SELECT stage FROM campaign_stages GROUP BY stage \
                                  HAVING count(*) = 1 AND min(campaign) = $1)";

/// Removes a campaign, and the rows of the stages that only it has. What was measured of these is gone already.
async fn forget(connection: &mut PgConnection, campaign: CampaignId) -> Result<(), StoreError> {
    let campaign = campaign.to_string();
    // Rows go before those they refer to.
    for table in ["result_measurements", "results", "attempts"] {
        delete_only_of(connection, table, &campaign).await?;
    }
    let delete = sqlx::query("DELETE FROM campaign_stages WHERE campaign = $1").bind(&campaign);
    delete.execute(&mut *connection).await.map_err(cannot_write("campaign_stages"))?;
    let delete = "DELETE FROM stages WHERE stage NOT IN (SELECT stage FROM campaign_stages)";
    sqlx::query(delete).execute(&mut *connection).await.map_err(cannot_write("stages"))?;
    let delete = sqlx::query("DELETE FROM campaigns WHERE campaign = $1").bind(&campaign);
    delete.execute(connection).await.map_err(cannot_write("campaigns"))?;
    Ok(())
}

/// Deletes the rows of the stages that only one campaign has.
pub(super) async fn delete_only_of(
    connection: &mut PgConnection,
    table: &'static str,
    campaign: &str,
) -> Result<(), StoreError> {
    let delete = AssertSqlSafe(format!("DELETE FROM {table} WHERE stage IN {ONLY_OF}"));
    sqlx::query(delete).bind(campaign).execute(connection).await.map_err(cannot_write(table))?;
    Ok(())
}

async fn end(connection: &mut PgConnection, at_ms: u64, key: AttemptKey, outcome: &str) -> Result<(), StoreError> {
    let update = "UPDATE attempts SET ended_at_ms = $1, outcome = $2 WHERE stage = $3 AND attempt = $4";
    let update = sqlx::query(update)
        .bind(to_column(at_ms))
        .bind(text(outcome))
        .bind(key.stage.to_string())
        .bind(number(key.attempt));
    update.execute(connection).await.map_err(cannot_write("attempts"))?;
    Ok(())
}
