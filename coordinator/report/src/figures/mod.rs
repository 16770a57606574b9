//! Figures of curves, losses and laws.
//!
//! Each figure is a function of a small input: [`Runs`] and what was measured along them, an analysis from `scaling`, or an
//! input defined next to the figure. No figure needs a whole campaign or its conclusion, so a running campaign is drawn like
//! a finished one. The result is a [`Figure`], which is independent of the library that draws it.

mod arms;
mod batches;
mod curves;
mod law;
mod learning_rate;
mod model;
mod optimum;
mod palette;
mod peak_lr;
mod residuals;
mod runs;
mod search;
mod surface;
mod thin;
mod tracks;
mod tree;

pub use arms::arms;
pub use batches::batches;
pub use curves::curves;
pub use law::law;
pub use learning_rate::learning_rate;
pub use model::*;
pub use optimum::optimum;
pub use palette::Palette;
pub use peak_lr::{Sweep, peak_lr};
pub use residuals::residuals;
pub use runs::{End, Fate, Run, Runs, Stage, State};
use scaling::Residual;
pub use search::{Key, Spread, Trial, importance, slices};
pub use surface::surface;
pub use tracks::{Track, tracks};
pub use tree::tree;
use vocabulary::units::human_count;

/// A figure of one panel.
fn single(id: &'static str, title: &'static str, height: usize, [x, y]: [Axis; 2]) -> Figure {
    Figure {
        id,
        title,
        explanation: String::new(),
        height,
        panels: vec![Panel { x: Some(x), y }],
        marks: Vec::new(),
        bands: Vec::new(),
    }
}

/// A logarithmic axis with readable ticks: one, two and five times each power of ten.
fn log_axis(title: impl Into<String>, low: f64, high: f64) -> Axis {
    let steps: &[f64] = if high / low > 2e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let ticks = powers.flat_map(|power| {
        steps.iter().map(move |step| {
            let tick = step * 10f64.powi(power);
            (tick, tick_words(tick, power))
        })
    });
    Axis { scale: Scale::Log, ticks: Ticks::At(ticks.collect()), range: Some([low, high]), ..Axis::linear(title) }
}

/// The label of a tick: a count, or a plain decimal below one, as learning rates are written.
fn tick_words(tick: f64, power: i32) -> String {
    match power {
        0.. => human_count(tick).replace(".00", "").replace(".0", ""),
        _ => format!("{tick:.*}", power.unsigned_abs() as usize),
    }
}

/// The measurements of one size.
struct Size<'a> {
    label: &'a str,
    n: f64,
    rows: Vec<&'a Residual>,
}

/// The rows of each size by ascending D, sizes by ascending N.
fn by_size(residuals: &[Residual]) -> Vec<Size<'_>> {
    let mut rows: Vec<&Residual> = residuals.iter().collect();
    rows.sort_by(|a, b| a.n.total_cmp(&b.n).then(a.d.total_cmp(&b.d)));
    rows.chunk_by(|a, b| a.n == b.n)
        .map(|rows| Size { label: &rows[0].size, n: rows[0].n, rows: rows.to_vec() })
        .collect()
}

/// Values a constant factor apart, including both ends.
fn spaced(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|index| low * (high / low).powf(index as f64 / (count - 1) as f64)).collect()
}

/// The smallest and the largest of some values.
fn span(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values.into_iter().fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_below_one_are_plain_decimals() {
        let words = |low, high| match log_axis("x", low, high).ticks {
            Ticks::At(ticks) => ticks.into_iter().map(|(_, words)| words).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(words(0.003, 0.09), ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(words(2.0, 2e6)[3], "1k");
    }
}
