//! Tables in Parquet.

use std::fs::File;

use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::cell::Cell;
use crate::table::Table;

/// A Parquet file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// Its columns are packed in a way that is not read.
    #[error(
        "its columns are packed with {with}, which is not read: write it with snappy, gzip, zstd, lz4 or uncompressed"
    )]
    Codec {
        /// The name of the compression.
        with: &'static str,
    },
    /// It is damaged, or something else.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
}

pub(crate) fn table(file: File) -> Result<Table, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata();
    let packed = metadata.row_groups().iter().flat_map(|group| group.columns()).map(|column| column.compression());
    for compression in packed {
        match compression {
            Compression::BROTLI(_) => return Err(ParquetError::Codec { with: "brotli" }),
            Compression::LZO => return Err(ParquetError::Codec { with: "lzo" }),
            _ => {}
        }
    }
    let columns = metadata.file_metadata().schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    let mut table = Table { columns, ..Table::default() };
    for row in reader.get_row_iter(None)? {
        table.rows.push(row?.get_column_iter().map(|(_, field)| of_field(field)).collect());
    }
    Ok(table)
}

fn of_field(field: &Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Byte(value) => Cell::Number(f64::from(*value)),
        Field::Short(value) => Cell::Number(f64::from(*value)),
        Field::Int(value) => Cell::Number(f64::from(*value)),
        Field::Long(value) => Cell::Number(*value as f64),
        Field::UByte(value) => Cell::Number(f64::from(*value)),
        Field::UShort(value) => Cell::Number(f64::from(*value)),
        Field::UInt(value) => Cell::Number(f64::from(*value)),
        Field::ULong(value) => Cell::Number(*value as f64),
        Field::Float16(value) => Cell::Number(value.to_f64()),
        Field::Float(value) => Cell::Number(f64::from(*value)),
        Field::Double(value) => Cell::Number(*value),
        Field::Str(text) => Cell::of_text(text),
        // Text without a mark that says so, as older writers leave it.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Cell::Missing, Cell::of_text),
        // Decimals, dates and the like become text.
        other => Cell::of_text(&other.to_string()),
    }
}
