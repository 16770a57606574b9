//! The rows behind a result, as the bytes of one column.

use vocabulary::{DocumentLoss, MeasurementName, Rows};

use super::columns::damaged;
use super::error::StoreError;

pub(super) const TABLE: &str = "result_rows";

/// Bytes of a row.
const ROW: usize = 24;

pub(super) fn packed(rows: &[DocumentLoss]) -> Vec<u8> {
    let numbers = |row: &DocumentLoss| [row.nats.to_le_bytes(), row.tokens.to_le_bytes(), row.bytes.to_le_bytes()];
    rows.iter().flat_map(numbers).flatten().collect()
}

/// The rows of a stage, by `name, rows`.
pub(super) fn unpacked(found: Vec<(String, Vec<u8>)>) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for (name, bytes) in found {
        let name: MeasurementName =
            name.parse().map_err(|_| damaged(TABLE, format!("`{name}` names no measurement")))?;
        let unpacked =
            documents(&bytes).ok_or_else(|| damaged(TABLE, format!("{} bytes do not make up rows", bytes.len())))?;
        rows.set(name, unpacked);
    }
    Ok(rows)
}

fn documents(bytes: &[u8]) -> Option<Vec<DocumentLoss>> {
    let (rows, []) = bytes.as_chunks::<ROW>() else { return None };
    let row = |row: &[u8; ROW]| {
        let ([nats, tokens, bytes], []) = row.as_chunks::<8>() else { return None };
        let [tokens, bytes] = [tokens, bytes].map(|number| u64::from_le_bytes(*number));
        Some(DocumentLoss { nats: f64::from_le_bytes(*nats), tokens, bytes })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_what_is_cut_off_is_noticed() {
        let rows = [(6.5, 2, 7), (f64::INFINITY, 0, u64::MAX)].map(|(nats, tokens, bytes)| DocumentLoss {
            nats,
            tokens,
            bytes,
        });
        let bytes = packed(&rows);
        assert_eq!(documents(&bytes).as_deref(), Some(rows.as_slice()));
        let cut = unpacked(vec![("validation_loss".to_owned(), bytes[1..].to_vec())]);
        assert!(matches!(cut, Err(StoreError::Read { table: TABLE, .. })), "{cut:?}");
    }
}
