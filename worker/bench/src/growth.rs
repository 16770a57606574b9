//! How speed and memory go with the size of the model, and with the context.

use crate::report::{Entry, Side};

/// The power of the context that memory beyond a constant grows with, by three contexts that double: increments that
/// double are linear growth, ones that quadruple are quadratic.
pub(crate) fn memory_power(peaks: [Option<u64>; 3]) -> Option<f64> {
    let [first, second, third] = peaks;
    let [before, after] = [second?.checked_sub(first?)?, third?.checked_sub(second?)?];
    (before > 0 && after > 0).then(|| (after as f64 / before as f64).log2())
}

/// The memory of our own entry.
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
