//! Numbers on the command line.

use std::ops::{Bound, RangeBounds};

/// A count: `4000000`, `4_000_000`, `4m` or `1.5b`.
///
/// # Errors
/// The accepted form.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let refuse = || "expected a whole number, such as 4000000, 4_000_000, 4m or 1.5b".to_owned();
    let plain: String = text.chars().filter(|letter| *letter != '_').collect();
    if let Ok(count) = plain.parse() {
        return Ok(count);
    }
    let (number, unit) = with_unit(&plain).ok_or_else(refuse)?;
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let count = (number * unit).round();
    // Beyond 2^53, an f64 does not represent every integer.
    let is_whole = (number * unit - count).abs() < 1e-6 * unit.min(1e3);
    if is_whole && (0.0..=9e15).contains(&count) { Ok(count as u64) } else { Err(refuse()) }
}

/// A [`count()`] of at least one.
pub(crate) fn count_above_zero(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("accepted: at least 1".to_owned()),
        count => Ok(count),
    }
}

/// A number with an optional unit: `2.4b`, `1.1T`, `500k`, `1e21`.
pub(crate) fn quantity(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let (digits, factor) = with_unit(trimmed).unwrap_or((trimmed, 1.0));
    match digits.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value * factor),
        _ => Err("expected a number above zero, optionally followed by k, m, b or t, such as 2.4b or 1e21".to_owned()),
    }
}

/// Splits off a unit: the digits and the factor; `None` if there is no unit.
fn with_unit(text: &str) -> Option<(&str, f64)> {
    let units = [('k', 1e3), ('m', 1e6), ('b', 1e9), ('g', 1e9), ('t', 1e12)];
    let (at, last) = text.char_indices().next_back()?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == last.to_ascii_lowercase())?;
    Some((&text[..at], *factor))
}

/// A duration in seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=1e9, "0 to 1e9")
}

/// An amount of memory in GiB.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    within(text, 0.001..=1e6, "0.001 to 1e6")
}

/// A number above zero.
pub(crate) fn above_zero(text: &str) -> Result<f64, String> {
    within(text, (Bound::Excluded(0.0), Bound::Excluded(f64::INFINITY)), "above 0")
}

/// A number within a range; `accepted` describes the range.
///
/// # Errors
/// The accepted form.
pub(crate) fn within(text: &str, range: impl RangeBounds<f64>, accepted: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if range.contains(&number) { Ok(number) } else { Err(format!("accepted: {accepted}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_with_and_without_a_unit() {
        let read = |text| count(text).expect(text);
        assert_eq!(
            ["20480", "20_480", "4m", "4M", "1.1t", "0.2b", "1.5k"].map(read),
            [20_480, 20_480, 4_000_000, 4_000_000, 1_100_000_000_000, 200_000_000, 1_500]
        );
        for wrong in ["", "m", "-4m", "four", "1.0001k", "1e40b", "4.5", "nan", "infk", "é"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert_eq!((count("0"), count_above_zero("1")), (Ok(0), Ok(1)));
        assert!(count_above_zero("0").is_err());
    }

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (text, value) in [("2.4b", 2.4e9), ("1.1T", 1.1e12), ("500k", 5e5), ("1e21", 1e21), ("7", 7.0)] {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for wrong in ["", "b", "-1", "0", "nan", "inf", "1.2.3", "2 µ"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }
}
