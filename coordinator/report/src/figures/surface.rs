//! The fitted surface, seen from above.

use scaling::Analysis;
use serde_json::{Value, json};

use super::palette::STOPS;
use super::{Figure, layout, log_axis, short, shorts, spaced};
use crate::conclusion::Conclusion;
use crate::html::escape;

/// Places along each axis.
const PLACES: usize = 48;

pub(super) fn figure(conclusion: &Conclusion, analysis: &Analysis) -> Figure {
    let law = analysis.fit.law;
    let rows = &analysis.diagnostics.residuals;
    let (least_n, most_n) = super::span(rows.iter().map(|row| row.n));
    let (least_d, most_d) = super::span(rows.iter().map(|row| row.d));
    let (n, d) = (spaced(least_n / 1.5, most_n * 1.5, PLACES), spaced(least_d / 1.5, most_d * 1.5, PLACES));
    let heights: Vec<Value> = n.iter().map(|n| shorts(d.iter().map(|d| law.predict(*n, *d)))).collect();
    let (lowest, highest) = super::span(rows.iter().map(|row| row.loss));
    let shades: Vec<(f64, String)> = (0..STOPS.len())
        .map(|stop| {
            let [r, g, b] = STOPS[STOPS.len() - 1 - stop];
            (stop as f64 / (STOPS.len() - 1) as f64, format!("rgb({r},{g},{b})"))
        })
        .collect();
    let mut data = vec![
        json!({
            "type": "contour", "x": shorts(d.iter().copied()), "y": shorts(n.iter().copied()), "z": heights,
            "zmin": short(lowest), "zmax": short(highest), "ncontours": 22, "colorscale": shades,
            "contours": { "showlabels": true, "labelfont": { "size": 11, "color": "#ffffff" } },
            "line": { "width": 0.7, "color": "rgba(255,255,255,0.7)" },
            "colorbar": { "title": { "text": "nats a token", "side": "right" }, "thickness": 14, "outlinewidth": 0 },
            "hovertemplate": "D %{x:.3s}, N %{y:.3s}<br>law %{z:.4f}<extra></extra>",
        }),
        json!({
            "type": "scatter", "mode": "markers", "name": "measured", "showlegend": false,
            "x": shorts(rows.iter().map(|row| row.d)), "y": shorts(rows.iter().map(|row| row.n)),
            "customdata": rows.iter().map(|row| json!([escape(&row.size), short(row.loss), short(row.predicted)])).collect::<Vec<_>>(),
            "marker": {
                "size": 11, "color": shorts(rows.iter().map(|row| row.loss)), "colorscale": shades,
                "cmin": short(lowest), "cmax": short(highest), "line": { "color": "#ffffff", "width": 1.5 },
            },
            "hovertemplate": "%{customdata[0]}<br>D %{x:.3s}, N %{y:.3s}<br>measured %{customdata[1]:.4f}<br>law %{customdata[2]:.4f}<extra></extra>",
        }),
    ];
    let budgets = spaced(6.0 * n[0] * d[0], 6.0 * n[PLACES - 1] * d[PLACES - 1], 60);
    let inside = |at: &scaling::Optimum| at.n >= n[0] && at.n <= n[PLACES - 1] && at.d >= d[0] && at.d <= d[PLACES - 1];
    let best: Vec<scaling::Optimum> =
        budgets.into_iter().filter_map(|flops| law.optimum(flops)).filter(inside).collect();
    if !best.is_empty() {
        data.push(json!({
            "type": "scatter", "mode": "lines", "name": "compute-optimal", "showlegend": false,
            "x": shorts(best.iter().map(|at| at.d)), "y": shorts(best.iter().map(|at| at.n)),
            "line": { "color": "#e07a3f", "width": 2.5, "dash": "dash" },
            "hovertemplate": "compute-optimal<br>D %{x:.3s}, N %{y:.3s}<extra></extra>",
        }));
    }
    let x = log_axis("D, tokens", d[0], d[PLACES - 1]);
    let y = log_axis("N, non-embedding parameters", n[0], n[PLACES - 1]);
    let words = if conclusion.points.len() == rows.len() { "each measured model" } else { "each fitted model" };
    Figure {
        id: "surface",
        title: "The fitted surface",
        explanation: format!(
            "The law's loss over N and D, seen from above: darker is lower. The dots are {words}, shaded by its own loss, so \
             that a dot that stands out is one the law misses. Along the dashed line a budget is best spent."
        ),
        height: 480,
        data,
        layout: layout(x, y),
    }
}
