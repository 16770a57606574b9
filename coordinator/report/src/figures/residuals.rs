//! What the law leaves over.

use scaling::{Analysis, Law};
use serde_json::json;

use super::{Figure, Palette, Size, axis, by_size, layout, log_axis, shorts};

pub(super) fn figure<L: Law>(analysis: &Analysis<L>, palette: &Palette) -> Figure {
    let found = &analysis.diagnostics;
    let data = by_size(&found.residuals).into_iter().map(|Size { label, n, rows }| {
        let colour = palette.colour(n);
        // With several seeds a line would go up and down between them.
        let alone = rows.windows(2).all(|pair| pair[0].d < pair[1].d);
        json!({
            "type": "scatter", "mode": if alone { "lines+markers" } else { "markers" }, "name": label, "showlegend": true,
            "x": shorts(rows.iter().map(|row| row.d)), "y": shorts(rows.iter().map(|row| 1000.0 * row.residual)),
            "line": { "color": colour, "width": 1.2 }, "marker": { "color": colour, "size": 8 },
            "hovertemplate": format!("{label}<br>%{{x:.3s}} tokens<br>%{{y:+.1f}} thousandths of a nat<extra></extra>"),
        })
    });
    let data = data.collect();
    let (low, high) = super::span(found.residuals.iter().map(|row| row.d));
    let mut layout = layout(log_axis("D, tokens", low / 1.15, high * 1.15), axis("0.001 nats a token"));
    let rmse = 1000.0 * found.rmse;
    let edge = |y: f64| {
        json!({ "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y,
        "line": { "color": "#5b6673", "width": 1 } })
    };
    layout["shapes"] = json!([
        { "type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": -rmse, "y1": rmse, "layer": "below",
          "fillcolor": "#eef1f4", "line": { "width": 0 } },
        edge(0.0),
    ]);
    let pattern = match found.interaction {
        Some(pattern) if pattern.significant => {
            " Here they do not: the slopes over D change with N by more than chance explains, and the law has no term for that."
        }
        _ => "",
    };
    Figure {
        id: "residuals",
        title: "Residuals",
        explanation: format!(
            "Measured loss minus the law, in thousandths of a nat a token; the band is the rmse. They \
             should look like noise.{pattern}"
        ),
        height: 380,
        data,
        layout,
    }
}
