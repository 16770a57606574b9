//! Numbers as people type them.

/// A count: `4000000`, `4_000_000`, `4m` or `1.5b`.
///
/// # Errors
/// What would be right.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let refuse = || "expected a whole number, such as 4000000, 4_000_000, 4m or 1.5b".to_owned();
    let plain: String = text.chars().filter(|letter| *letter != '_').collect();
    if let Ok(count) = plain.parse() {
        return Ok(count);
    }
    let suffix = plain.chars().next_back().map(|letter| letter.to_ascii_lowercase());
    let unit = match suffix {
        Some('k') => 1e3,
        Some('m') => 1e6,
        Some('b' | 'g') => 1e9,
        Some('t') => 1e12,
        _ => return Err(refuse()),
    };
    let number: f64 = plain[..plain.len() - 1].parse().map_err(|_| refuse())?;
    let count = (number * unit).round();
    // Beyond 2^53 not every count has a number of its own.
    let is_whole = (number * unit - count).abs() < 1e-6 * unit.min(1e3);
    if is_whole && (0.0..=9e15).contains(&count) { Ok(count as u64) } else { Err(refuse()) }
}

/// A number with a unit as people write it: `2.4b`, `1.1T`, `500k`, `1e21`.
pub(crate) fn quantity(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let units = [('k', 1e3), ('m', 1e6), ('b', 1e9), ('g', 1e9), ('t', 1e12)];
    let unit =
        |last: char| units.iter().find(|(unit, _)| *unit == last.to_ascii_lowercase()).map(|(_, factor)| *factor);
    let (digits, factor) = match trimmed.chars().last().and_then(unit) {
        Some(factor) => (&trimmed[..trimmed.len() - 1], factor),
        None => (trimmed, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value * factor),
        _ => Err("a number above zero, with k, m, b or t behind it where you like: 2.4b, 1e21".to_owned()),
    }
}

/// A length of time in seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1e9).contains(&seconds) { Ok(seconds) } else { Err("accepted: 0 to 1e9".to_owned()) }
}

/// An amount of memory in GiB.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    let gib: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&gib) { Ok(gib) } else { Err("accepted: 0.001 to 1e6".to_owned()) }
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
