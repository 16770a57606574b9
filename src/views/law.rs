//! What is said of a law that is asked.

use report::FitFile;
use scaling::{FAR, Interval, Law};
use vocabulary::units::human_count;

/// A count of parameters or tokens.
pub(crate) fn count(value: f64) -> String {
    human_count(value)
}

/// Three significant digits.
pub(crate) fn digits(value: f64) -> String {
    match value {
        100.0..1e6 => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        0.1..10.0 => format!("{value:.2}"),
        _ => format!("{value:.2e}"),
    }
}

pub(crate) fn operations(value: f64) -> String {
    format!("{value:.2e}").replace(".00e", "e").replace("0e", "e")
}

/// From where to where, in some unit.
pub(crate) fn interval(interval: Option<Interval>, unit: impl Fn(f64) -> String) -> String {
    interval.map_or("unbounded".to_owned(), |interval| format!("{} to {}", unit(interval.low), unit(interval.high)))
}

/// Warnings of N and D that lie this many times beyond what was measured.
pub(crate) fn beyond(n: f64, d: f64) -> Vec<String> {
    let say = |(name, factor): &(&str, f64)| {
        (*factor > FAR).then(|| {
            format!(
                "{name} lies {} times beyond what was measured: the interval holds if the law extends that far, which \
                 nothing here says",
                digits(*factor)
            )
        })
    };
    [("N", n), ("D", d)].iter().filter_map(say).collect()
}

/// What to know of the fit that is asked.
pub(crate) fn about<L: Law>(fit: &FitFile<L>, unbounded: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if unbounded {
        notes.push("the points do not bound what is called unbounded".to_owned());
    }
    notes.extend(fit.warnings.iter().map(|doubt| format!("of the fit: {}", doubt.message)));
    notes
}
