//! Errors of the file system that pass.

use std::io::{self, ErrorKind};

/// Whether the file system may answer otherwise later, as one that is full or away does.
pub(crate) fn io_may_pass(error: &io::Error) -> bool {
    use ErrorKind as Kind;
    let lasting =
        [Kind::PermissionDenied, Kind::NotADirectory, Kind::IsADirectory, Kind::InvalidInput, Kind::InvalidData];
    !lasting.contains(&error.kind())
}
