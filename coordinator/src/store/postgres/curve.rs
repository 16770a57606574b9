//! Loss curves: a row per step.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, QueryBuilder, Row};
use tracing::info;
use vocabulary::{AttemptKey, Measurements, StageKey};

use super::error::{cannot_read, cannot_write};
use super::measurements;
use super::number::number;
use super::open::PostgresStore;
use crate::store::columns::{from_column, measured_from_column, measured_to_column, to_column};
use crate::store::{CurvePoint, StoreError};

const TABLE: &str = "curve_points";

/// Rows per `INSERT`. PostgreSQL takes at most 65535 values.
const ROWS: usize = 1000;

impl PostgresStore {
    pub(super) async fn read_curve(
        &self,
        stage: StageKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<CurvePoint>, StoreError> {
        let select = "SELECT step, loss, grad_norm, learning_rate FROM curve_points \
                      WHERE stage = $1 AND step >= $2 ORDER BY step LIMIT $3";
        let select = sqlx::query(select)
            .bind(stage.to_string())
            // No row lies beyond what a column holds, and a negative number would come before every row.
            .bind(to_column(from.min(i64::MAX as u64)))
            .bind(to_column((limit as u64).min(i64::MAX as u64)));
        // One snapshot, so that a curve is not cut between the two tables.
        let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction = self.people.begin_with(snapshot).await.map_err(cannot_read(TABLE))?;
        let points = select.try_map(|row| read(&row)).fetch_all(&mut *transaction).await;
        let mut points = points.map_err(cannot_read(TABLE))?;
        measurements::read(&mut transaction, stage, &mut points).await?;
        Ok(points)
    }
}

fn read(row: &PgRow) -> Result<CurvePoint, sqlx::Error> {
    let measured = |column: usize| row.try_get::<Option<f64>, _>(column).map(measured_from_column);
    Ok(CurvePoint {
        step: from_column(row.try_get(0)?),
        loss: measured(1)?,
        grad_norm: measured(2)?,
        learning_rate: measured(3)?,
        measurements: Measurements::new(),
    })
}

/// Removes the rows that an attempt that starts will train again: those at or beyond the stage's last checkpoint, or all if
/// it has none. `checkpoint` is one of this commit, which has no row yet. A stage that has a result keeps its curve, which
/// is whole: it is only trained again because its last checkpoint was lost.
pub(super) async fn cut(
    connection: &mut PgConnection,
    stage: StageKey,
    checkpoint: Option<u64>,
) -> Result<(), StoreError> {
    let from = "SELECT greatest(coalesce($2::bigint, 0), coalesce((SELECT max(step) FROM checkpoints WHERE stage = $1), 0)) \
                WHERE NOT EXISTS (SELECT 1 FROM results WHERE stage = $1)";
    let from = sqlx::query_scalar::<_, i64>(from).bind(stage.to_string()).bind(checkpoint.map(to_column));
    let from = from.fetch_optional(&mut *connection).await.map_err(cannot_read(TABLE))?;
    let Some(from) = from else { return Ok(()) };
    measurements::cut(connection, stage, from).await?;
    let delete =
        sqlx::query("DELETE FROM curve_points WHERE stage = $1 AND step >= $2").bind(stage.to_string()).bind(from);
    let cut = delete.execute(connection).await.map_err(cannot_write(TABLE))?;
    if cut.rows_affected() > 0 {
        info!(%stage, points = cut.rows_affected(), "a curve is cut to the last checkpoint: an attempt trains its steps again");
    }
    Ok(())
}

/// Adds points for steps that have none yet.
pub(super) async fn add(
    connection: &mut PgConnection,
    curve: &[(AttemptKey, Vec<CurvePoint>)],
) -> Result<(), StoreError> {
    for (key, points) in curve {
        let stage = key.stage.to_string();
        for points in points.chunks(ROWS) {
            let insert = "INSERT INTO curve_points (stage, attempt, step, loss, grad_norm, learning_rate) ";
            let mut insert = QueryBuilder::new(insert);
            insert.push_values(points, |mut row, point| {
                row.push_bind(&stage)
                    .push_bind(number(key.attempt))
                    .push_bind(to_column(point.step))
                    .push_bind(measured_to_column(point.loss))
                    .push_bind(measured_to_column(point.grad_norm))
                    .push_bind(measured_to_column(point.learning_rate));
            });
            insert.push(" ON CONFLICT (stage, step) DO NOTHING");
            // Not cached: statements of every length would fill the cache.
            let insert = insert.build().persistent(false);
            insert.execute(&mut *connection).await.map_err(cannot_write(TABLE))?;
            measurements::add(connection, &stage, points).await?;
        }
    }
    Ok(())
}
