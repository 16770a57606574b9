//! Reads a file into a table.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use vocabulary::encoding::{self, NotText};

use crate::json;
use crate::kind::{ENDINGS, Kind, advice};
use crate::parquet;
use crate::separated;
use crate::table::Table;

/// Largest text that is unpacked, in bytes.
const MAX_UNPACKED: u64 = 1 << 30;

/// A file that cannot be read as a table.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file's extension is not one of the known ones.
    #[error("{} does not end like a table that is read ({ENDINGS}): {}", path.display(), advice(path))]
    UnknownKind { path: PathBuf },
    /// The file cannot be opened or read.
    #[error("read {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is packed in a way that is not read.
    #[error("{} is packed with {with}: unpack it first (.gz and .zst are read as they are)", path.display())]
    Packed {
        path: PathBuf,
        /// The program.
        with: &'static str,
    },
    /// It unpacks to more than a table should have.
    #[error("{} unpacks to more than {MAX_UNPACKED} bytes", path.display())]
    TooLarge { path: PathBuf },
    /// Its bytes are not text.
    #[error("read {}", path.display())]
    Encoding {
        path: PathBuf,
        #[source]
        source: NotText,
    },
    /// Its lines do not make a table.
    #[error("read {}", path.display())]
    Separated {
        path: PathBuf,
        #[source]
        source: separated::SeparatedError,
    },
    /// Its JSON does not make a table.
    #[error("read {}", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: json::JsonError,
    },
    /// Not a Parquet file, or one with unsupported compression.
    #[error("read {}", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: parquet::ParquetError,
    },
}

/// Reads a file; its name gives the format, and its content the compression, the encoding and the separator.
///
/// # Errors
/// Fails if the file cannot be read, or its content does not match its name.
pub fn read(path: &Path) -> Result<Table, ReadError> {
    let named = || path.to_owned();
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let kind = Kind::of(path).ok_or_else(|| ReadError::UnknownKind { path: named() })?;
    if kind == Kind::Parquet {
        let file = File::open(path).map_err(io)?;
        return parquet::table(file).map_err(|source| ReadError::Parquet { path: named(), source });
    }
    let bytes = unpacked(path, std::fs::read(path).map_err(io)?)?;
    let text = encoding::text(bytes).map_err(|source| ReadError::Encoding { path: named(), source })?;
    match kind {
        Kind::Separated(usual) => {
            separated::table(&text, usual).map_err(|source| ReadError::Separated { path: named(), source })
        }
        _ => json::table(&text).map_err(|source| ReadError::Json { path: named(), source }),
    }
}

/// What a packed file holds, whatever its name says.
fn unpacked(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    let packed = |with| Err(ReadError::Packed { path: path.to_owned(), with });
    let mut inner = Vec::new();
    let read = match bytes.get(..4).unwrap_or_default() {
        [0x1f, 0x8b, ..] => MultiGzDecoder::new(&bytes[..]).take(MAX_UNPACKED + 1).read_to_end(&mut inner),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            zstd::Decoder::new(&bytes[..]).and_then(|decoder| decoder.take(MAX_UNPACKED + 1).read_to_end(&mut inner))
        }
        b"PK\x03\x04" => return packed("zip (as spreadsheets are)"),
        [b'B', b'Z', b'h', _] => return packed("bzip2"),
        [0xfd, b'7', b'z', b'X'] => return packed("xz"),
        _ => return Ok(bytes),
    };
    match read {
        Ok(length) if length as u64 > MAX_UNPACKED => Err(ReadError::TooLarge { path: path.to_owned() }),
        Ok(_) => Ok(inner),
        Err(source) => Err(ReadError::Io { path: path.to_owned(), source }),
    }
}
