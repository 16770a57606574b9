//! Notes on predictions of a law.

use report::FitFile;
use scaling::{FAR, Interval, Law};
use vocabulary::numbers::three_digits;

/// An interval in some unit.
pub(crate) fn interval(interval: Option<Interval>, unit: impl Fn(f64) -> String) -> String {
    interval.map_or("unbounded".to_owned(), |interval| format!("{} to {}", unit(interval.low), unit(interval.high)))
}

/// Warnings about N and D that lie this many times beyond the measured range.
pub(crate) fn beyond(n: f64, d: f64) -> Vec<String> {
    let say = |(name, factor): &(&str, f64)| {
        (*factor > FAR).then(|| {
            format!(
                "{name} is {} times beyond the measured range: the interval holds only if the law does",
                three_digits(*factor)
            )
        })
    };
    [("N", n), ("D", d)].iter().filter_map(say).collect()
}

/// Notes on the fit.
pub(crate) fn about<L: Law>(fit: &FitFile<L>, unbounded: bool) -> Vec<String> {
    let mut notes: Vec<String> = fit.verdict.iter().map(|verdict| format!("the law: {verdict}")).collect();
    if unbounded {
        notes.push("unbounded: the points do not determine this interval".to_owned());
    }
    notes.extend(fit.warnings.iter().map(|doubt| format!("of the fit: {}", doubt.message)));
    let of_table = fit.table.iter().flat_map(|table| &table.notes);
    notes.extend(of_table.map(|note| format!("of the table: {note}")));
    notes
}
