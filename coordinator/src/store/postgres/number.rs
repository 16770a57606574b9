//! Texts and numbers that PostgreSQL stores otherwise than SQLite.

use std::borrow::Cow;

use vocabulary::Attempt;

/// A text as a column holds it. PostgreSQL has no place for a NUL, which whoever submits may send: a commit that it refused for
/// that would end the coordinator.
pub(super) fn text(value: &str) -> Cow<'_, str> {
    if value.contains('\0') { Cow::Owned(value.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(value) }
}

/// An attempt as a column holds it.
pub(super) fn number(attempt: Attempt) -> i64 {
    i64::from(attempt.0)
}
