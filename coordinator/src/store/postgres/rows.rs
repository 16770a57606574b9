//! The rows behind results: one blob a measurement.

use sqlx::PgConnection;
use vocabulary::{AttemptKey, DocumentLoss, MeasurementName, Rows, StageKey};

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::StoreError;

const TABLE: &str = "result_rows";

/// Bytes of a row.
const ROW: usize = 24;

impl PostgresStore {
    pub(super) async fn read_rows(&self, stage: StageKey) -> Result<Rows, StoreError> {
        let select = sqlx::query_as::<_, (String, Vec<u8>)>("SELECT name, rows FROM result_rows WHERE stage = $1");
        let found = select.bind(stage.to_string()).fetch_all(&self.people).await.map_err(cannot_read(TABLE))?;
        let damaged = |problem: String| cannot_read(TABLE)(sqlx::Error::Decode(problem.into()));
        let mut rows = Rows::new();
        for (name, packed) in found {
            let name: MeasurementName = name.parse().map_err(|_| damaged(format!("`{name}` names no measurement")))?;
            let unpacked =
                unpacked(&packed).ok_or_else(|| damaged(format!("{} bytes do not make up rows", packed.len())))?;
            rows.set(name, unpacked);
        }
        Ok(rows)
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

fn packed(rows: &[DocumentLoss]) -> Vec<u8> {
    let numbers = |row: &DocumentLoss| [row.nats.to_le_bytes(), row.tokens.to_le_bytes(), row.bytes.to_le_bytes()];
    rows.iter().flat_map(numbers).flatten().collect()
}

fn unpacked(bytes: &[u8]) -> Option<Vec<DocumentLoss>> {
    let (rows, []) = bytes.as_chunks::<ROW>() else { return None };
    let row = |row: &[u8; ROW]| {
        let ([nats, tokens, bytes], []) = row.as_chunks::<8>() else { return None };
        let [tokens, bytes] = [tokens, bytes].map(|number| u64::from_le_bytes(*number));
        Some(DocumentLoss { nats: f64::from_le_bytes(*nats), tokens, bytes })
    };
    rows.iter().map(row).collect()
}
