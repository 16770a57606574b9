//! What a reader sees of the curves and of the law.
//!
//! A figure is data and layout in the JSON of plotly.js, whose documentation describes each key; the library itself comes
//! from the `plotly` crate and is put into the page once. Numbers are rounded to what a screen can show.

mod arms;
mod batches;
mod curves;
mod dynamics;
mod law;
mod learning_rate;
mod optimum;
mod palette;
mod peak_lr;
mod residuals;
mod slices;
mod surface;
mod thin;
mod tree;

use scaling::{Analysis, Law, Residual};
use serde_json::{Value, json};
use vocabulary::units::human_count;

pub(crate) use palette::Palette;

use crate::conclusion::Conclusion;
use crate::html::escape;

/// A figure with the sentence that says how to read it.
pub(crate) struct Figure {
    /// Of its element in the page.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What it shows and how to read it, as text.
    pub(crate) explanation: String,
    /// Pixels.
    pub(crate) height: usize,
    pub(crate) data: Vec<Value>,
    pub(crate) layout: Value,
}

/// Every figure there is something to draw for, in the order of the page.
pub(crate) fn all(conclusion: &Conclusion) -> Vec<Figure> {
    let palette = Palette::of(&conclusion.campaign.plan);
    let mut figures: Vec<Figure> = Vec::new();
    if let Ok(analysis) = &conclusion.analysis {
        let missing = conclusion.campaign.plan.trials.len() - conclusion.points.len();
        figures.push(law::figure(analysis, &palette, Some(missing)));
        figures.push(surface::figure(conclusion, analysis));
        figures.push(residuals::figure(analysis, &palette));
        figures.extend(optimum::figure(analysis));
    }
    figures.extend(slices::figures(conclusion));
    figures.extend(arms::figure(conclusion));
    figures.extend(peak_lr::figure(conclusion));
    figures.extend(batches::figure(conclusion, &palette));
    figures.extend(curves::figure(conclusion, &palette));
    figures.push(learning_rate::figure(conclusion, &palette));
    figures.extend(dynamics::figure(conclusion, &palette));
    figures.push(tree::figure(conclusion, &palette));
    figures
}

/// The figures of a law fitted to a table, of which there are no curves.
pub(crate) fn of_table<L: Law>(analysis: &Analysis<L>) -> Vec<Figure> {
    let palette = Palette::of_sizes(analysis.diagnostics.residuals.iter().map(|row| row.n));
    let figures = [law::figure(analysis, &palette, None), residuals::figure(analysis, &palette)];
    figures.into_iter().chain(optimum::figure(analysis)).collect()
}

/// A linear axis.
fn axis(title: &str) -> Value {
    json!({
        "title": { "text": title, "standoff": 10 },
        "gridcolor": "#e8ebef",
        "zeroline": false,
        "linecolor": "#aeb6c0",
        "ticks": "outside",
        "tickcolor": "#aeb6c0",
        "ticklen": 4,
        "automargin": true,
        "exponentformat": "SI",
    })
}

/// A logarithmic axis with ticks that people can read: one, two and five of each power of ten.
fn log_axis(title: &str, low: f64, high: f64) -> Value {
    let mut axis = axis(title);
    let steps: &[f64] = if high / low > 2e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let ticks: Vec<(f64, i32)> =
        powers.flat_map(|power| steps.iter().map(move |step| (step * 10f64.powi(power), power))).collect();
    axis["type"] = json!("log");
    axis["ticktext"] = ticks.iter().map(|(tick, power)| Value::from(tick_words(*tick, *power))).collect();
    axis["tickvals"] = ticks.iter().map(|(tick, _)| short(*tick)).collect();
    axis["range"] = json!([short(low.log10()), short(high.log10())]);
    axis
}

/// What stands at a tick of a power of ten: a count, or below one a plain decimal, as people write learning rates.
fn tick_words(tick: f64, power: i32) -> String {
    match power {
        0.. => human_count(tick).replace(".00", "").replace(".0", ""),
        _ => format!("{tick:.*}", power.unsigned_abs() as usize),
    }
}

/// The parts of a layout that all figures have.
fn layout(x: Value, y: Value) -> Value {
    json!({
        "font": { "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": "#2f3a46" },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "#ffffff",
        "margin": { "l": 64, "r": 16, "t": 34, "b": 56 },
        "modebar": { "bgcolor": "rgba(0,0,0,0)", "color": "#b6bec8", "activecolor": "#2a5f92" },
        "hovermode": "closest",
        "hoverlabel": { "bgcolor": "#ffffff", "bordercolor": "#aeb6c0", "font": { "color": "#1d2630" }, "align": "left" },
        "legend": { "tracegroupgap": 2, "itemwidth": 30 },
        "xaxis": x,
        "yaxis": y,
    })
}

/// What is measured of one size.
struct Size<'a> {
    label: String,
    n: f64,
    rows: Vec<&'a Residual>,
}

/// The rows of each size by ascending D, sizes by ascending N.
fn by_size(residuals: &[Residual]) -> Vec<Size<'_>> {
    let mut rows: Vec<&Residual> = residuals.iter().collect();
    rows.sort_by(|a, b| a.n.total_cmp(&b.n).then(a.d.total_cmp(&b.d)));
    rows.chunk_by(|a, b| a.n == b.n)
        .map(|rows| Size { label: escape(&rows[0].size), n: rows[0].n, rows: rows.to_vec() })
        .collect()
}

/// Six significant digits: more than a screen shows, and half the bytes.
fn short(value: f64) -> Value {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded.is_finite() { json!(rounded) } else { Value::Null }
}

fn shorts(values: impl IntoIterator<Item = f64>) -> Value {
    values.into_iter().map(short).collect()
}

/// Values a constant factor apart, both ends included.
fn spaced(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|index| low * (high / low).powf(index as f64 / (count - 1) as f64)).collect()
}

/// The least and the greatest of some values.
fn span(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values.into_iter().fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_below_one_are_plain_decimals() {
        let words = |low, high| log_axis("x", low, high)["ticktext"].clone();
        assert_eq!(words(0.003, 0.09), json!(["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]));
        assert_eq!(words(2.0, 2e6)[3], json!("1k"));
    }
}
