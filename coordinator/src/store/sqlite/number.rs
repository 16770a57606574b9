//! Numbers, as SQLite stores them.

/// An integer as a column holds it: signed. A value above `i64::MAX` becomes negative and comes back unchanged; only its
/// order among others is wrong. No step, size or time is that large, but a worker numbers its reports as it likes.
pub(super) fn to_column(value: u64) -> i64 {
    value.cast_signed()
}

/// The inverse of [`to_column`].
pub(super) fn from_column(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A measurement as a column holds it. SQLite has no NaN and would store NULL by itself; this makes it explicit. Infinities
/// and all other numbers are kept to the bit, except for the sign of a zero.
pub(super) fn measured_to_column(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

/// The inverse of [`measured_to_column`].
pub(super) fn measured_from_column(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}
