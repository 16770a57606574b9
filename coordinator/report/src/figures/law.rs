//! Final losses over D, with the fitted law.

use scaling::{Analysis, Law};

use super::{
    Axis, Digits, Figure, Hover, Line, Mark, Marker, Palette, Part, Series, Size, Value, by_size, log_axis, single,
    spaced, span, words,
};

use crate::words::in_unit;

/// `missing` is the number of planned points not yet measured; `None` for a table, whose losses may be of any kind. `unit`
/// is that of the loss, empty where nobody said it.
#[must_use]
pub fn law<L: Law>(analysis: &Analysis<L>, palette: &Palette, missing: Option<usize>, unit: &str) -> Figure {
    let law = analysis.fit.law;
    let (low, high) = span(analysis.diagnostics.residuals.iter().map(|row| row.d));
    let grid = spaced(low / 1.15, high * 1.5, 60);
    let mut marks = Vec::new();
    for Size { label, n, rows } in by_size(&analysis.diagnostics.residuals) {
        let colour = palette.colour(n);
        marks.push(Mark::Series(Series {
            group: Some(label.to_owned()),
            line: Some(Line::solid(&colour, 1.6)),
            ..Series::new(label, grid.iter().map(|d| (*d, law.predict(n, *d))))
        }));
        marks.push(Mark::Series(Series {
            group: Some(label.to_owned()),
            in_legend: true,
            marker: Some(Marker { edge: Some(("#ffffff".to_owned(), 1.0)), ..Marker::disc(&colour, 9.0) }),
            hover: Hover::titled(label)
                .line([Part::X(Digits::Suffix), words(" tokens")])
                .line([words("measured "), Part::Y(Digits::Fixed(4))])
                .line([words("law "), Part::Value(0, Digits::Fixed(4))]),
            values: rows.iter().map(|row| vec![Value::Number(row.predicted)]).collect(),
            ..Series::new(label, rows.iter().map(|row| (row.d, row.loss)))
        }));
    }
    let dot = if missing.is_some() { "a model trained to the end of its decay" } else { "a fitted row of the table" };
    let missing = missing.filter(|missing| *missing > 0);
    let missing = missing.map(|missing| format!(" {missing} planned points are not measured yet.")).unwrap_or_default();
    let axes = [log_axis("D, tokens", low / 1.15, high * 1.5), Axis::linear(in_unit("loss", unit))];
    Figure {
        explanation: format!(
            "Each dot is {dot}; each line is the law's prediction for that size. Where dots \
             leave their line, the law does not describe the models.{missing}"
        ),
        marks,
        ..single("law", "Measured losses and the law", 460, axes)
    }
}
