//! What stages that record dynamics say of their steps: a row beside that of the curve.

use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use vocabulary::{Consecutive, Dynamics, LargestUpdates};

use super::error::cannot_write;
use super::number::{measured_from_column, measured_to_column, to_column};
use crate::store::{CurvePoint, StoreError};

const TABLE: &str = "curve_dynamics";

/// The columns after stage and step, in the order they are written and read.
pub(super) const COLUMNS: &str = "largest_gradient, has_consecutive, gradient_product, gradient_cosine, d1, d2, \
    update_kinds, update_embedding, update_qkv, update_attention_out, update_gate_up, update_down, update_gain, \
    update_head";

/// Adds the dynamics of points, for steps that have none yet.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    stage: &str,
    points: &[CurvePoint],
) -> Result<(), StoreError> {
    let recorded: Vec<(u64, Dynamics)> =
        points.iter().filter_map(|point| Some((point.step, point.dynamics?))).collect();
    if recorded.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::new(format!("INSERT INTO {TABLE} (stage, step, {COLUMNS}) "));
    insert.push_values(&recorded, |mut row, (step, dynamics)| {
        row.push_bind(stage).push_bind(to_column(*step));
        push(&mut row, dynamics);
    });
    insert.push(" ON CONFLICT (stage, step) DO NOTHING");
    let insert = insert.build().persistent(false);
    insert.execute(connection).await.map_err(cannot_write(TABLE))?;
    Ok(())
}

fn push(row: &mut Separated<'_, Sqlite, &'static str>, dynamics: &Dynamics) {
    let Dynamics { largest_gradient, consecutive, updates } = dynamics;
    row.push_bind(measured_to_column(*largest_gradient)).push_bind(i64::from(consecutive.is_some()));
    let compared = consecutive.map(|Consecutive { product, cosine, d1, d2 }| [product, cosine, d1, d2].map(Some));
    for value in compared.unwrap_or_default() {
        row.push_bind(value.and_then(measured_to_column));
    }
    let updates = updates.by_kind();
    let kinds = updates.iter().enumerate().filter(|(_, update)| update.is_some());
    row.push_bind(kinds.map(|(bit, _)| 1_i64 << bit).sum::<i64>());
    for update in updates {
        row.push_bind(update.and_then(measured_to_column));
    }
}

/// Reads [`COLUMNS`], the first of which is column `first`. All are NULL if nothing was recorded.
pub(super) fn read(row: &SqliteRow, first: usize) -> Result<Option<Dynamics>, sqlx::Error> {
    let measured = |column: usize| row.try_get::<Option<f64>, _>(first + column).map(measured_from_column);
    let Some(has_consecutive) = row.try_get::<Option<i64>, _>(first + 1)? else { return Ok(None) };
    let consecutive = if has_consecutive == 0 {
        None
    } else {
        Some(Consecutive { product: measured(2)?, cosine: measured(3)?, d1: measured(4)?, d2: measured(5)? })
    };
    let kinds = row.try_get::<i64, _>(first + 6)?;
    let mut updates = LargestUpdates::default().by_kind();
    for (bit, update) in updates.iter_mut().enumerate().filter(|(bit, _)| kinds & (1 << bit) != 0) {
        *update = Some(measured(7 + bit)?);
    }
    Ok(Some(Dynamics { largest_gradient: measured(0)?, consecutive, updates: LargestUpdates::new(updates) }))
}
