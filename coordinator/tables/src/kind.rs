//! The kind of a file, by its name.

use std::path::Path;

/// What a table can be stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Separated values, usually by this.
    Separated(u8),
    /// A JSON object a line, or an array of objects.
    JsonLines,
    /// The same, but the name does not promise a table.
    Json,
    Parquet,
}

/// The endings of tables, for messages.
pub const ENDINGS: &str = ".csv, .tsv, .jsonl, .ndjson, .json or .parquet; all but the last also with .gz or .zst";

impl Kind {
    /// `None` if the name promises none of them.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let packed = [".gz", ".zst", ".zstd"].into_iter().find_map(|ending| name.strip_suffix(ending));
        let plain = packed.unwrap_or(&name);
        match plain.rsplit_once('.')?.1 {
            "csv" => Some(Self::Separated(b',')),
            "tsv" | "tab" => Some(Self::Separated(b'\t')),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" => Some(Self::Json),
            "parquet" if packed.is_none() => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Whether a name promises a table. A `.json` promises nothing: it may be a fitted law.
#[must_use]
pub fn names_a_table(path: &Path) -> bool {
    Kind::of(path).is_some_and(|kind| kind != Kind::Json)
}

/// What to do about a file whose ending is not one of a table.
pub(crate) fn advice(path: &Path) -> &'static str {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "xlsx" | "xls" | "xlsm" | "ods" | "numbers" => "a spreadsheet: save the sheet as .csv",
        "bz2" | "xz" | "zip" | "7z" | "tar" | "tgz" | "br" | "lz4" => "unpack it first",
        "feather" | "arrow" | "pkl" | "pickle" | "h5" | "hdf5" | "npy" | "npz" | "orc" | "avro" => {
            "save it as .parquet or .csv"
        }
        "txt" | "dat" | "text" | "" => "name it .csv or .tsv if commas, semicolons or tabs separate its columns",
        _ => "give it the ending of what it is",
    }
}
