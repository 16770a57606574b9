//! Numbers, as SQLite has them.

/// An integer as a column holds it: signed. One beyond `i64::MAX` becomes negative and comes back as it was; only its
/// place among others would be wrong, and no step, size or time gets there. A worker may number its reports as it likes.
pub(super) fn to_column(value: u64) -> i64 {
    value.cast_signed()
}

/// The way back from [`to_column`].
pub(super) fn from_column(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A measurement as a column holds it. SQLite has no NaN and would store NULL by itself; this says so. Infinities, and
/// every other number, are kept to the bit, but for the sign of a zero.
pub(super) fn measured_to_column(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

/// The way back from [`measured_to_column`].
pub(super) fn measured_from_column(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}
