//! Numbers, as PostgreSQL stores them.

use vocabulary::Attempt;

/// An integer as a column holds it: signed. A value above `i64::MAX` becomes negative and comes back unchanged; only its
/// order among others is wrong. No step, size or time is that large, but a worker numbers its reports as it likes.
pub(super) fn to_column(value: u64) -> i64 {
    value.cast_signed()
}

/// The inverse of [`to_column`].
pub(super) fn from_column(value: i64) -> u64 {
    value.cast_unsigned()
}

/// An attempt as a column holds it.
pub(super) fn number(attempt: Attempt) -> i64 {
    i64::from(attempt.0)
}

/// The inverse of [`number`].
pub(super) fn attempt(column: i64) -> Result<Attempt, sqlx::Error> {
    u32::try_from(column).map(Attempt).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A measurement as a column holds it: NULL for NaN, as in every store. All other numbers are kept to the bit.
pub(super) fn measured_to_column(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

/// The inverse of [`measured_to_column`].
pub(super) fn measured_from_column(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}
