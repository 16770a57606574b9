//! The fitted surface, seen from above.

use scaling::{Analysis, Optimum};

use super::palette::dark_to_light;
use super::{
    Dash, Digits, Figure, Fill, Hover, Line, Mark, Marker, Part, Series, Shades, Sizes, Surface, Symbol, Value,
    log_axis, single, spaced, span, words,
};

/// Grid points along each axis.
const PLACES: usize = 48;

/// `measured` is the number of measured points, of which the fitted ones may be a subset; `unit` is that of the
/// loss.
#[must_use]
pub fn surface(analysis: &Analysis, measured: usize, unit: &'static str) -> Figure {
    let law = analysis.fit.law;
    let rows = &analysis.diagnostics.residuals;
    let (least_n, most_n) = span(rows.iter().map(|row| row.n));
    let (least_d, most_d) = span(rows.iter().map(|row| row.d));
    let (n, d) = (spaced(least_n / 1.5, most_n * 1.5, PLACES), spaced(least_d / 1.5, most_d * 1.5, PLACES));
    let (low, high) = span(rows.iter().map(|row| row.loss));
    let shades = Shades { low, high, stops: dark_to_light() };
    let place = || vec![words("D "), Part::X(Digits::Suffix), words(", N "), Part::Y(Digits::Suffix)];
    let mut marks = vec![
        Mark::Surface(Surface {
            heights: n.iter().map(|n| d.iter().map(|d| law.predict(*n, *d)).collect()).collect(),
            x: d.clone(),
            y: n.clone(),
            shades: shades.clone(),
            title: unit,
            hover: Hover::default().line(place()).line([words("law "), Part::Z(Digits::Fixed(4))]),
        }),
        Mark::Series(Series {
            marker: Some(Marker {
                symbol: Symbol::Circle,
                sizes: Sizes::All(11.0),
                fill: Fill::Shaded(rows.iter().map(|row| row.loss).collect(), shades),
                edge: Some(("#ffffff".to_owned(), 1.5)),
            }),
            hover: Hover::default()
                .line([Part::Value(0, Digits::All)])
                .line(place())
                .line([words("measured "), Part::Value(1, Digits::Fixed(4))])
                .line([words("law "), Part::Value(2, Digits::Fixed(4))]),
            values: rows
                .iter()
                .map(|row| vec![Value::Words(row.size.clone()), Value::Number(row.loss), Value::Number(row.predicted)])
                .collect(),
            ..Series::new("measured", rows.iter().map(|row| (row.d, row.n)))
        }),
    ];
    let budgets = spaced(6.0 * n[0] * d[0], 6.0 * n[PLACES - 1] * d[PLACES - 1], 60);
    let inside = |at: &Optimum| at.n >= n[0] && at.n <= n[PLACES - 1] && at.d >= d[0] && at.d <= d[PLACES - 1];
    let best: Vec<Optimum> = budgets.into_iter().filter_map(|flops| law.optimum(flops)).filter(inside).collect();
    if !best.is_empty() {
        marks.push(Mark::Series(Series {
            line: Some(Line { dash: Dash::Dashed, ..Line::solid("#e07a3f", 2.5) }),
            hover: Hover::titled("compute-optimal").line(place()),
            ..Series::new("compute-optimal", best.iter().map(|at| (at.d, at.n)))
        }));
    }
    let x = log_axis("D, tokens", d[0], d[PLACES - 1]);
    let y = log_axis("N, non-embedding parameters", n[0], n[PLACES - 1]);
    let which = if measured == rows.len() { "a measured model" } else { "a fitted model" };
    Figure {
        explanation: format!(
            "The law's loss over N and D, seen from above: darker is lower. Each dot is {which}, shaded by its own loss, so a \
             dot that stands out is one the law misses. The dashed line is the compute-optimal frontier."
        ),
        marks,
        ..single("surface", "The fitted surface", 480, [x, y])
    }
}
