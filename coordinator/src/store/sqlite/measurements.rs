//! Measurements of steps and of results: one row per value. For curves, a stage and a name together are a series with a
//! number.

use scheduler::Fact;
use sqlx::{QueryBuilder, SqliteConnection, SqlitePool};
use vocabulary::{Measurements, StageKey};

use super::error::{cannot_begin, cannot_commit, cannot_read, cannot_write};
use crate::store::columns::{measured_to_column, to_column};
use crate::store::series::{self, TABLE as SERIES};
use crate::store::{CurvePoint, StoreError};

const CURVE: &str = "curve_measurements";
const RESULTS: &str = "result_measurements";

/// Rows per `INSERT`. SQLite takes 32766 values at most, and no row here has more than three.
const ROWS: usize = 10_000;

/// Adds the measurements of these points. A value that a step already has under a name stays.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    stage: &str,
    points: &[CurvePoint],
) -> Result<(), StoreError> {
    let names = series::names(points);
    if names.is_empty() {
        return Ok(());
    }
    for names in names.chunks(ROWS) {
        let mut insert = QueryBuilder::new("INSERT INTO curve_series (stage, name) ");
        insert.push_values(names, |mut row, name| {
            row.push_bind(stage).push_bind(*name);
        });
        insert.push(" ON CONFLICT (stage, name) DO NOTHING");
        insert.build().persistent(false).execute(&mut *connection).await.map_err(cannot_write(SERIES))?;
    }
    let numbers = sqlx::query_as::<_, (String, i64)>("SELECT name, id FROM curve_series WHERE stage = ?").bind(stage);
    let numbers = numbers.fetch_all(&mut *connection).await.map_err(cannot_read(SERIES))?;
    let values = series::values(&numbers, points);
    for values in values.chunks(ROWS) {
        let mut insert = QueryBuilder::new("INSERT INTO curve_measurements (series, step, value) ");
        insert.push_values(values, |mut row, (series, step, value)| {
            row.push_bind(series).push_bind(to_column(*step)).push_bind(measured_to_column(*value));
        });
        insert.push(" ON CONFLICT (series, step) DO NOTHING");
        insert.build().persistent(false).execute(&mut *connection).await.map_err(cannot_write(CURVE))?;
    }
    Ok(())
}

/// Reads the measurements of these points of a stage, which are in the order of their steps.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    stage: StageKey,
    points: &mut [CurvePoint],
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
    let steps = [first.step, last.step].map(to_column);
    let found = sqlx::query_as::<_, (i64, String)>("SELECT id, name FROM curve_series WHERE stage = ? ORDER BY name");
    let found = found.bind(stage.to_string()).fetch_all(&mut *connection).await.map_err(cannot_read(SERIES))?;
    for (number, name) in found {
        let name = series::name(&name)?;
        let select = "SELECT step, value FROM curve_measurements WHERE series = ? AND step BETWEEN ? AND ?";
        let select = sqlx::query_as::<_, (i64, Option<f64>)>(select).bind(number).bind(steps[0]).bind(steps[1]);
        let values = select.fetch_all(&mut *connection).await.map_err(cannot_read(CURVE))?;
        series::join(points, &name, values);
    }
    Ok(())
}

/// Removes the measurements of a stage from this step on. The points are removed after them.
pub(super) async fn cut(connection: &mut SqliteConnection, stage: StageKey, from: i64) -> Result<(), StoreError> {
    let delete = "DELETE FROM curve_measurements \
                  WHERE series IN (SELECT id FROM curve_series WHERE stage = ?) AND step >= ?";
    let delete = sqlx::query(delete).bind(stage.to_string()).bind(from);
    delete.execute(connection).await.map_err(cannot_write(CURVE))?;
    Ok(())
}

/// Adds a stage's result. Values that are there stay.
pub(super) async fn add_result(
    connection: &mut SqliteConnection,
    stage: StageKey,
    result: &Measurements,
) -> Result<(), StoreError> {
    if result.is_empty() {
        return Ok(());
    }
    let stage = stage.to_string();
    let mut insert = QueryBuilder::new("INSERT INTO result_measurements (stage, name, value) ");
    insert.push_values(result.iter(), |mut row, (name, value)| {
        row.push_bind(&stage).push_bind(name.as_str()).push_bind(measured_to_column(value));
    });
    insert.push(" ON CONFLICT (stage, name) DO NOTHING");
    insert.build().persistent(false).execute(connection).await.map_err(cannot_write(RESULTS))?;
    Ok(())
}

/// Completes results stored before measurements had names: only the log has their losses on single held-out sets.
///
/// Skips rows of the log that cannot be decoded: whoever reads the log reports them.
pub(super) async fn complete_results(driver: &SqlitePool) -> Result<(), StoreError> {
    let is_missing = sqlx::query_scalar::<_, i64>("PRAGMA user_version").fetch_one(driver).await;
    if is_missing.map_err(cannot_read(RESULTS))? == 0 {
        return Ok(());
    }
    let mut transaction = driver.begin_with("BEGIN IMMEDIATE").await.map_err(cannot_begin)?;
    let select = "SELECT fact FROM facts WHERE fact LIKE '{\"fact\":\"stage_completed\"%' AND fact LIKE '%\"sets\":%' \
                  ORDER BY sequence";
    let facts = sqlx::query_scalar::<_, String>(select).fetch_all(&mut *transaction).await;
    for fact in facts.map_err(cannot_read("facts"))? {
        let Ok(Fact::StageCompleted { stage, attempt, result }) = serde_json::from_str(&fact) else { continue };
        // A stage that was trained again keeps its first result.
        let select = sqlx::query_scalar::<_, i64>("SELECT 1 FROM results WHERE stage = ? AND attempt = ?");
        let first = select.bind(stage.to_string()).bind(attempt.0).fetch_optional(&mut *transaction).await;
        if first.map_err(cannot_read("results"))?.is_some() {
            add_result(&mut transaction, stage, &result).await?;
        }
    }
    sqlx::query("PRAGMA user_version = 0").execute(&mut *transaction).await.map_err(cannot_write(RESULTS))?;
    transaction.commit().await.map_err(cannot_commit)
}
