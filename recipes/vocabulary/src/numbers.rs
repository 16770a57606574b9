//! Numbers as people read them.

/// Three significant digits, without an exponent where that is readable: `947`, `0.398`, `1.76`, `2.27e4`.
#[must_use]
pub fn three_digits(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 {
        return value.to_string();
    }
    if !(0.001..9_999.5).contains(&size) {
        return format!("{value:.2e}");
    }
    // As printed to three digits, so that 0.9996 counts as 1.00.
    let magnitude =
        format!("{size:.2e}").split('e').nth(1).and_then(|power| power.parse::<i32>().ok()).unwrap_or_default();
    format!("{value:.*}", (2 - magnitude).max(0) as usize)
}

/// A share as a percentage: `0.62%`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Operations as a power of ten, with up to two digits behind the point: `1e11`, `2.5e20`.
#[must_use]
pub fn operations(flops: f64) -> String {
    let text = format!("{flops:.2e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough_and_no_fewer() {
        let shown = [947.23, 0.398_1, 1.758, 22_704.0, 0.999_6, 1e-5, 9_999.4, -0.05, 0.0].map(three_digits);
        assert_eq!(shown, ["947", "0.398", "1.76", "2.27e4", "1.00", "1.00e-5", "9999", "-0.0500", "0"]);
    }

    #[test]
    fn operations_are_a_power_of_ten() {
        assert_eq!([1e11, 2.5e20, 1.234e21, 9.999e9].map(operations), ["1e11", "2.5e20", "1.23e21", "1e10"]);
    }
}
