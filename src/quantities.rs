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
}
