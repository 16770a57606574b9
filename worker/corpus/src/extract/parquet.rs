//! Reads a text column of Parquet files.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use parquet::basic::Type;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Emit, ExtractError, Extracted, Found, unix_lines};

/// Rows read at once.
const ROWS: usize = 512;

/// Reads every document. Returns whether the end was reached.
pub(super) fn read(path: &Path, key: &str, found: &mut Found, emit: Emit<'_>) -> Result<bool, ExtractError> {
    let wrong = |error: ParquetError| ExtractError::Parquet { path: path.to_path_buf(), reason: error.to_string() };
    let file = File::open(path).map_err(|source| ExtractError::Read { path: path.to_path_buf(), source })?;
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let is_text = |index: usize| {
        let column = schema.column(index);
        column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    };
    let column = (0..schema.num_columns()).find(|&index| schema.column(index).path().string() == key && is_text(index));
    let Some(column) = column else {
        let keys = (0..schema.num_columns()).map(|index| {
            format!("{} ({})", schema.column(index).path().string(), if is_text(index) { "text" } else { "no text" })
        });
        found.add_without(keys.collect());
        return Ok(true);
    };
    let optional = schema.column(column).max_def_level() > 0;
    let mut row = 0_u64;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(wrong)?;
        let ColumnReader::ByteArrayColumnReader(mut values) = group.get_column_reader(column).map_err(wrong)? else {
            continue;
        };
        loop {
            let (mut texts, mut levels) = (Vec::new(), Vec::new());
            let (rows, ..) =
                values.read_records(ROWS, optional.then_some(&mut levels), None, &mut texts).map_err(wrong)?;
            if rows == 0 {
                break;
            }
            for _ in texts.len()..rows {
                found.add_without(Vec::new());
            }
            for text in texts {
                let text = std::str::from_utf8(text.data())
                    .map_err(|_| ExtractError::Row { path: path.to_path_buf(), row })?;
                row += 1;
                found.texts += 1;
                if emit(Extracted::Whole(unix_lines(text))) == ControlFlow::Break(()) {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}
