//! Loss curves: a row a step.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, SqliteConnection};
use tracing::info;
use vocabulary::{AttemptKey, Dynamics, StageKey};

use super::dynamics;
use super::error::StoreError;
use super::number::{from_column, measured_from_column, measured_to_column, to_column};
use super::open::Store;

const TABLE: &str = "curve_points";

/// Rows an `INSERT`: so a commit of 1000 points takes 2.5 ms, and with a statement for each 17 ms (2026-11-25, two cores of
/// a virtual machine). SQLite takes 32766 values at most.
const ROWS: usize = 1000;

/// One measurement on a loss curve.
///
/// What is no number (NaN) is stored and comes back as such; so do infinities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step, counted from the root.
    pub step: u64,
    /// The loss of its batch, in nats a token.
    pub loss: f64,
    /// The norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate, eta.
    pub learning_rate: f64,
    /// Of stages that record.
    pub dynamics: Option<Dynamics>,
}

impl Store {
    /// The curve of a stage, by step: at most `limit` points, from step `from` on.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn curve(&self, stage: StageKey, from: u64, limit: usize) -> Result<Vec<CurvePoint>, StoreError> {
        let select = format!(
            "SELECT step, loss, grad_norm, learning_rate, {} FROM curve_points LEFT JOIN curve_dynamics USING (stage, step) \
             WHERE stage = ? AND step >= ? ORDER BY step LIMIT ?",
            dynamics::COLUMNS
        );
        let select = sqlx::query(AssertSqlSafe(select))
            .bind(stage.to_string())
            // Beyond what a column holds there is nothing, and a negative number would be before everything.
            .bind(to_column(from.min(i64::MAX as u64)))
            .bind(to_column((limit as u64).min(i64::MAX as u64)));
        let rows = select.try_map(|row| read(&row)).fetch_all(&self.readers).await;
        rows.map_err(|source| StoreError::Read { table: TABLE, source })
    }
}

fn read(row: &SqliteRow) -> Result<CurvePoint, sqlx::Error> {
    let measured = |column: usize| row.try_get::<Option<f64>, _>(column).map(measured_from_column);
    Ok(CurvePoint {
        step: from_column(row.try_get(0)?),
        loss: measured(1)?,
        grad_norm: measured(2)?,
        learning_rate: measured(3)?,
        dynamics: dynamics::read(row, 4)?,
    })
}

/// Removes what an attempt that starts will train again: rows at or beyond the last checkpoint of the stage, or all of
/// them where it has none. `checkpoint` is one that has no row yet. A stage that has a result and is trained again, because
/// its last checkpoint was lost, keeps its curve: that is whole.
pub(super) async fn cut(
    connection: &mut SqliteConnection,
    stage: StageKey,
    checkpoint: Option<u64>,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM curve_points WHERE stage = ?1 \
                  AND step >= max(coalesce(?2, 0), coalesce((SELECT max(step) FROM checkpoints WHERE stage = ?1), 0)) \
                  AND NOT EXISTS (SELECT 1 FROM results WHERE stage = ?1)";
    let delete = sqlx::query(delete).bind(stage.to_string()).bind(checkpoint.map(to_column));
    let cut = delete.execute(connection).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
    if cut.rows_affected() > 0 {
        info!(%stage, points = cut.rows_affected(), "a curve is cut to the last checkpoint; its steps are trained again");
    }
    Ok(())
}

/// Adds points where there is none for their step yet.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    curve: &[(AttemptKey, Vec<CurvePoint>)],
) -> Result<(), StoreError> {
    for (key, points) in curve {
        let stage = key.stage.to_string();
        for points in points.chunks(ROWS) {
            let insert = "INSERT INTO curve_points (stage, attempt, step, loss, grad_norm, learning_rate) ";
            let mut insert = QueryBuilder::new(insert);
            insert.push_values(points, |mut row, point| {
                row.push_bind(&stage)
                    .push_bind(key.attempt.0)
                    .push_bind(to_column(point.step))
                    .push_bind(measured_to_column(point.loss))
                    .push_bind(measured_to_column(point.grad_norm))
                    .push_bind(measured_to_column(point.learning_rate));
            });
            insert.push(" ON CONFLICT (stage, step) DO NOTHING");
            // Prepared once: as statements of every length they would fill the cache.
            let insert = insert.build().persistent(false);
            insert.execute(&mut *connection).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
            dynamics::add(connection, &stage, points).await?;
        }
    }
    Ok(())
}
