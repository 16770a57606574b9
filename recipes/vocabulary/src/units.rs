//! Quantities whose type is their unit, and how they are printed for people.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A number of tokens; D in the paper when it is the training set of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

/// Floating-point operations. `f64`, because `u64` ends at 1.8e19 and even a small campaign exceeds that.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flops(pub f64);

macro_rules! additive {
    ($name:ident) => {
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::default(), Add::add)
            }
        }
    };
}
additive!(Tokens);
additive!(Flops);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&human_count(self.0 as f64))
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.3e}", self.0))
    }
}

/// `212448` as `212k`, `4.00e6` as `4.00M`: three significant digits and the field's suffixes.
#[must_use]
pub fn human_count(value: f64) -> String {
    if value >= 999.5e12 {
        return format!("{value:.2e}");
    }
    with_suffix(value, [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// `212448` as `212 kB`, `2.65e9` as `2.65 GB`: three significant digits.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    with_suffix(bytes as f64, [(1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")])
}

/// Uses the largest unit that gives at least one. The last unit is printed without decimals.
fn with_suffix(value: f64, units: [(f64, &str); 5]) -> String {
    let [larger @ .., (_, whole)] = units;
    for (unit, suffix) in larger {
        // A value that would round up to 1000 of the next smaller unit is printed in this one.
        if value >= unit * 0.9995 {
            let scaled = value / unit;
            let digits = if scaled >= 99.95 {
                0
            } else if scaled >= 9.995 {
                1
            } else {
                2
            };
            return format!("{scaled:.digits$}{suffix}");
        }
    }
    format!("{value:.0}{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        let shown: Vec<_> = [0.0, 23.0, 999.0, 23_712.0, 999_999.0, 4e6, 1.1e12].map(human_count).into();
        assert_eq!(shown, ["0", "23", "999", "23.7k", "1.00M", "4.00M", "1.10T"]);
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!([0, 999, 1000, 2_650_000_000].map(human_bytes), ["0 B", "999 B", "1.00 kB", "2.65 GB"]);
    }
}
