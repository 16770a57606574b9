//! Quantities whose type is their unit, and how they are printed for people.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

use crate::numbers::three_digits;

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

/// `212448` as `212k`, `4.00e6` as `4.00M`: three significant digits and the field's suffixes. What is above 0 never reads `0`: a
/// law's optimum can be below 1.
#[must_use]
pub fn human_count(value: f64) -> String {
    if 0.0 < value && value < 0.5 {
        return three_digits(value);
    }
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

/// Seconds as `0.45s`, `9.8s`, `9s`, `45s`, `2m 05s`, `3h 20m` or `1250h`: hours are the largest unit, because devices are paid by
/// the hour.
#[must_use]
pub fn human_duration(seconds: f64) -> String {
    if seconds < 60.0 && seconds.fract() == 0.0 {
        return format!("{seconds}s");
    }
    if seconds < 0.995 {
        return format!("{seconds:.2}s");
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    // Rounded before it is divided, so that nothing is rounded up to 60 of the smaller unit.
    let [whole, minutes, hours] = [1.0, 60.0, 3600.0].map(|unit| (seconds / unit).round());
    if whole < 60.0 {
        format!("{whole}s")
    } else if whole < 3600.0 {
        format!("{}m {:02}s", (whole / 60.0).floor(), whole % 60.0)
    } else if minutes < 6000.0 {
        format!("{}h {:02}m", (minutes / 60.0).floor(), minutes % 60.0)
    } else {
        format!("{hours}h")
    }
}

/// A time in milliseconds since 1970 as `2026-12-01 08:28`, in UTC.
#[must_use]
pub fn human_time(ms: u64) -> String {
    let minutes = ms / 60_000;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    // Days in eras of 400 years that begin on a first of March: leap days are at the end of a year then.
    let days = minutes / 1440 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
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
        let shown: Vec<_> = [0.0, 0.4, 2e-5, 23.0, 999.0, 23_712.0, 999_999.0, 4e6, 1.1e12].map(human_count).into();
        assert_eq!(shown, ["0", "0.400", "2.00e-5", "23", "999", "23.7k", "1.00M", "4.00M", "1.10T"]);
    }

    #[test]
    fn durations_read_well() {
        let shown = [
            (0.0, "0s"),
            (9.0, "9s"),
            (0.449, "0.45s"),
            (0.996, "1.0s"),
            (9.94, "9.9s"),
            (9.96, "10s"),
            (59.4, "59s"),
            (59.6, "1m 00s"),
            (125.0, "2m 05s"),
            (3599.4, "59m 59s"),
            (3599.6, "1h 00m"),
            (12_031.0, "3h 21m"),
            (359_968.0, "99h 59m"),
            (359_972.0, "100h"),
            (4_502_000.0, "1251h"),
            (f64::INFINITY, "infh"),
        ];
        for (seconds, text) in shown {
            assert_eq!(human_duration(seconds), text);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        // From `date -u -d @SECONDS`.
        let seconds = [0, 951_782_399, 951_782_400, 1_078_099_140, 1_796_113_725, 4_107_542_400];
        let dates = [
            "1970-01-01 00:00",
            "2000-02-28 23:59",
            "2000-02-29 00:00",
            "2004-02-29 23:59",
            "2026-12-01 08:28",
            "2100-03-01 00:00",
        ];
        assert_eq!(seconds.map(|seconds| human_time(seconds * 1000)), dates);
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!([0, 999, 1000, 2_650_000_000].map(human_bytes), ["0 B", "999 B", "1.00 kB", "2.65 GB"]);
    }
}
