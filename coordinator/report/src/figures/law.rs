//! The final losses over D, with the law through them.

use scaling::{Analysis, Law};
use serde_json::json;

use super::{Figure, Palette, Size, axis, by_size, layout, log_axis, short, shorts, spaced};

/// `missing` says how many points of a plan are not measured; `None` of a table, which need not say where its losses are from.
pub(super) fn figure<L: Law>(analysis: &Analysis<L>, palette: &Palette, missing: Option<usize>) -> Figure {
    let law = analysis.fit.law;
    let (low, high) = super::span(analysis.diagnostics.residuals.iter().map(|row| row.d));
    let grid = spaced(low / 1.15, high * 1.5, 60);
    let mut data = Vec::new();
    for Size { label, n, rows } in by_size(&analysis.diagnostics.residuals) {
        let colour = palette.colour(n);
        data.push(json!({
            "type": "scatter", "mode": "lines", "name": label, "legendgroup": label, "showlegend": false,
            "x": shorts(grid.iter().copied()), "y": shorts(grid.iter().map(|d| law.predict(n, *d))),
            "line": { "color": colour, "width": 1.6 }, "hoverinfo": "skip",
        }));
        data.push(json!({
            "type": "scatter", "mode": "markers", "name": label, "legendgroup": label, "showlegend": true,
            "x": shorts(rows.iter().map(|row| row.d)), "y": shorts(rows.iter().map(|row| row.loss)),
            "customdata": rows.iter().map(|row| short(row.predicted)).collect::<Vec<_>>(),
            "marker": { "color": colour, "size": 9, "line": { "color": "#ffffff", "width": 1 } },
            "hovertemplate": format!(
                "{label}<br>%{{x:.3s}} tokens<br>measured %{{y:.4f}}<br>law %{{customdata:.4f}}<extra></extra>"
            ),
        }));
    }
    let dot = if missing.is_some() { "a model trained to the end of its decay" } else { "a fitted row of the table" };
    let missing = missing.filter(|missing| *missing > 0);
    let missing = missing.map(|missing| format!(" {missing} points of the plan are not measured.")).unwrap_or_default();
    Figure {
        id: "law",
        title: "Measured losses and the law",
        explanation: format!(
            "Each dot is {dot}; each line is what the law says of that size. Where dots \
             leave their line, the law does not describe the models.{missing}"
        ),
        height: 460,
        data,
        layout: layout(log_axis("D, tokens", low / 1.15, high * 1.5), axis("loss, nats a token")),
    }
}
