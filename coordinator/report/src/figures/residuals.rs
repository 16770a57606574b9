//! Residuals of the law.

use scaling::{Analysis, Law};

use super::{
    Axis, Band, Digits, Figure, Hover, Line, Mark, Marker, Palette, Part, Series, Size, by_size, log_axis, single,
    span, words,
};

/// Measured losses minus the law. `unit` is that of the loss, empty where nobody said it.
#[must_use]
pub fn residuals<L: Law>(analysis: &Analysis<L>, palette: &Palette, unit: &str) -> Figure {
    let found = &analysis.diagnostics;
    let marks = by_size(&found.residuals).into_iter().map(|Size { label, n, rows }| {
        let colour = palette.colour(n);
        // With several seeds a line would zigzag between them.
        let alone = rows.windows(2).all(|pair| pair[0].d < pair[1].d);
        Mark::Series(Series {
            in_legend: true,
            line: alone.then(|| Line::solid(&colour, 1.2)),
            marker: Some(Marker::disc(&colour, 8.0)),
            hover: Hover::titled(label)
                .line([Part::X(Digits::Suffix), words(" tokens")])
                .line([Part::Y(Digits::Signed), words(" thousandths")]),
            ..Series::new(label, rows.iter().map(|row| (row.d, 1000.0 * row.residual)))
        })
    });
    let (low, high) = span(found.residuals.iter().map(|row| row.d));
    let rmse = 1000.0 * found.rmse;
    let pattern = match found.interaction {
        Some(pattern) if pattern.significant => {
            " Here they do not: the slopes over D change with N by more than chance explains, and the law has no such term."
        }
        _ => "",
    };
    let thousandths = if unit.is_empty() { "thousandths".to_owned() } else { format!("thousandths, {unit}") };
    let axes = [log_axis("D, tokens", low / 1.15, high * 1.15), Axis::linear(thousandths.clone())];
    Figure {
        explanation: format!(
            "Measured loss minus the law, in {thousandths}; the band is the RMSE. They should look like noise.{pattern}"
        ),
        marks: marks.collect(),
        bands: vec![Band::Heights([-rmse, rmse]), Band::Level(0.0)],
        ..single("residuals", "Residuals", 380, axes)
    }
}
