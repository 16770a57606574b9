//! The rows behind results: one blob a measurement.

use sqlx::PgConnection;
use vocabulary::{AttemptKey, Rows, StageKey};

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::StoreError;
use crate::store::packed::{TABLE, packed, unpacked};

impl PostgresStore {
    pub(super) async fn read_rows(&self, stage: StageKey) -> Result<Rows, StoreError> {
        let select = sqlx::query_as::<_, (String, Vec<u8>)>("SELECT name, rows FROM result_rows WHERE stage = $1");
        let found = select.bind(stage.to_string()).fetch_all(&self.people).await.map_err(cannot_read(TABLE))?;
        unpacked(found)
    }
}

/// Adds rows. Those that a result has already stay.
pub(super) async fn add(connection: &mut PgConnection, all: &[(AttemptKey, Rows)]) -> Result<(), StoreError> {
    for (key, rows) in all {
        for (name, rows) in rows.iter() {
            let insert = "INSERT INTO result_rows (stage, name, rows) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let insert = sqlx::query(insert).bind(key.stage.to_string()).bind(name.as_str()).bind(packed(rows));
            insert.execute(&mut *connection).await.map_err(cannot_write(TABLE))?;
        }
    }
    Ok(())
}
