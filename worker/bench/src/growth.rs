//! How speed and memory scale with the size of the model and with the context.

use crate::report::{Entry, Side};

/// Exponent of the context's length with which memory beyond a constant grows, from three contexts that double each
/// time: increments that double mean linear growth, increments that quadruple quadratic.
pub(crate) fn memory_power(peaks: [Option<u64>; 3]) -> Option<f64> {
    let [first, second, third] = peaks;
    let [before, after] = [second?.checked_sub(first?)?, third?.checked_sub(second?)?];
    (before > 0 && after > 0).then(|| (after as f64 / before as f64).log2())
}

/// Peak memory of our own entry, in bytes.
pub(crate) fn own_peak(entries: &[Entry]) -> Option<u64> {
    entries.iter().find(|entry| entry.side == Side::Windtunnel)?.peak_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_does_not_hide_how_memory_grows() {
        let peaks = |at: fn(u64) -> u64| [256, 512, 1024].map(|context| Some(at(context)));
        assert_eq!(memory_power(peaks(|context| 5_000_000 + 100 * context)), Some(1.0));
        assert_eq!(memory_power(peaks(|context| 5_000_000 + 3 * context * context)), Some(2.0));
        assert_eq!(memory_power(peaks(|_| 7)), None);
        assert_eq!(memory_power([Some(1), None, Some(2)]), None);
    }
}
