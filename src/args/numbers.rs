//! Numbers on the command line.

use std::ops::{Bound, RangeBounds};

use vocabulary::numeral::Numeral;

/// A count: `4000000`, `4_000_000`, `4m`, `1.5b` or `7 billion`.
///
/// # Errors
/// The accepted form.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let refuse = || "expected a whole number, such as 4000000, 4_000_000, 4m or 1.5b".to_owned();
    // Beyond 2^53, an f64 does not represent every integer.
    if let Ok(count) = text.replace('_', "").parse() {
        return Ok(count);
    }
    let value = number(text)?.ok_or_else(refuse)?;
    if value.fract() == 0.0 && (0.0..=9e15).contains(&value) { Ok(value as u64) } else { Err(refuse()) }
}

/// A [`count()`] of at least one.
pub(crate) fn count_above_zero(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("accepted: at least 1".to_owned()),
        count => Ok(count),
    }
}

/// A number with an optional unit: `2.4b`, `1.1T`, `7bn`, `1_000_000`, `1e21`.
pub(crate) fn quantity(text: &str) -> Result<f64, String> {
    match number(text)? {
        Some(value) if value.is_finite() && value > 0.0 && !text.contains('%') => Ok(value),
        _ => Err("expected a number above zero, optionally followed by k, m, b or t, such as 2.4b or 1e21".to_owned()),
    }
}

/// A number as people write them; `None` if it is not one.
///
/// # Errors
/// It could be one of two.
fn number(text: &str) -> Result<Option<f64>, String> {
    match Numeral::parse(text) {
        None => Ok(None),
        Some(numeral) => match numeral.alone() {
            Some(value) => Ok(Some(value)),
            None => Err(two_readings(text)),
        },
    }
}

fn two_readings(text: &str) -> String {
    format!(
        "{text} has two readings: write {} or {}, and separate several values by spaces",
        text.replace(',', ""),
        text.replace(',', ".")
    )
}

/// One number, or several separated by commas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Several<T>(pub(crate) Vec<T>);

impl<T: Copy> Several<T> {
    /// All values of an option that may be given as a list, with commas or with spaces.
    pub(crate) fn all(given: &[Self]) -> Vec<T> {
        given.iter().flat_map(|several| several.0.iter().copied()).collect()
    }
}

/// Several [`quantity()`]s. A comma that may belong to one number is refused.
pub(crate) fn quantities(text: &str) -> Result<Several<f64>, String> {
    several(text, quantity)
}

/// Several [`count_above_zero()`]s. A comma that may belong to one number is refused.
pub(crate) fn counts_above_zero(text: &str) -> Result<Several<u64>, String> {
    several(text, count_above_zero)
}

/// Several values of a kind. A comma that may belong to one number is refused.
pub(crate) fn several<T>(text: &str, one: fn(&str) -> Result<T, String>) -> Result<Several<T>, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() == 1 {
        return Ok(Several(vec![one(text)?]));
    }
    // `1,000,000` is one number, for no list has a 000; `1,500` and `1,5b` may be one or two.
    let is_short = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    let begin_like_one = parts[..parts.len() - 1].iter().all(is_short);
    let reads_as_one = begin_like_one && Numeral::parse(text).is_some();
    let no_list = parts[1..].iter().any(|part| part.len() == 3 && part.starts_with('0') && is_short(part));
    match (reads_as_one, no_list) {
        (true, true) => Ok(Several(vec![one(&text.replace(',', ""))?])),
        (true, false) => Err(two_readings(text)),
        _ => parts.into_iter().map(one).collect::<Result<_, _>>().map(Several),
    }
}

/// A duration in seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=1e9, "0 to 1e9")
}

/// An amount of memory in GiB.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    within(text, 0.001..=1e6, "0.001 to 1e6")
}

/// A number of bytes: `2000000`, or with a unit of 1024 such as `500M`, `64G`, `1.5T` or `64GiB`.
///
/// # Errors
/// The accepted form.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let refuse = || "expected a number of bytes, optionally with K, M, G or T (powers of 1024), such as 64G".to_owned();
    let short = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    let (digits, power) = match short.char_indices().next_back() {
        Some((at, unit)) => match "KMGT".find(unit.to_ascii_uppercase()) {
            Some(index) => (&short[..at], index as u32 + 1),
            None => (short, 0),
        },
        None => return Err(refuse()),
    };
    let value: f64 = digits.trim().replace('_', "").parse().map_err(|_| refuse())?;
    let bytes = value * 1024_f64.powi(power as i32);
    if (0.0..=9e18).contains(&bytes) { Ok(bytes as u64) } else { Err(refuse()) }
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
    let number = number(text)?.ok_or_else(|| "not a number".to_owned())?;
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
        assert_eq!(["7bn", "1,000,000", "2 million"].map(read), [7_000_000_000, 1_000_000, 2_000_000]);
        assert!(count("1,234").expect_err("refused").contains("1234 or 1.234"));
        for wrong in ["", "m", "-4m", "four", "1.0001k", "1e40b", "4.5", "nan", "infk", "é"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert_eq!((count("0"), count_above_zero("1")), (Ok(0), Ok(1)));
        assert!(count_above_zero("0").is_err());
    }

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        let read = |text| bytes(text).expect(text);
        assert_eq!(
            ["0", "2_000_000", "4k", "500M", "1.5GiB", "2TB"].map(read),
            [0, 2_000_000, 4096, 500 << 20, 3 << 29, 2 << 40]
        );
        for wrong in ["", "G", "-1G", "many", "inf", "nan", "1e30T", "1P"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (text, value) in [
            ("7bn", 7e9),
            ("1_000_000", 1e6),
            ("2.4b", 2.4e9),
            ("1.1T", 1.1e12),
            ("500k", 5e5),
            ("1e21", 1e21),
            ("7", 7.0),
        ] {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for wrong in ["", "b", "-1", "0", "nan", "inf", "1.2.3", "2 µ", "35%", "1e400"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_comma_separates_values_unless_it_may_belong_to_one() {
        let read = |text| quantities(text).map(|several| several.0);
        assert_eq!(read("1b,3b"), Ok(vec![1e9, 3e9]));
        assert_eq!(read("1e18, 1e19"), Ok(vec![1e18, 1e19]));
        assert_eq!(read("1,000,000"), Ok(vec![1e6]));
        assert_eq!(read("1,500,000"), Ok(vec![1.5e6]));
        assert_eq!(read("2000,4000"), Ok(vec![2000.0, 4000.0]));
        for unclear in ["1,500", "100,200,300", "1,5b"] {
            assert!(read(unclear).expect_err("refused").contains("two readings"), "{unclear}");
        }
        assert!(read("1b,,3b").is_err() && read("1b,x").is_err());
        assert_eq!(counts_above_zero("4m,12_800").map(|several| several.0), Ok(vec![4_000_000, 12_800]));
    }
}
