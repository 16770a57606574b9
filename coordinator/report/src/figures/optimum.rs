//! The best N and D over the budget.

use scaling::{Analysis, BudgetOptimum, Interval, Law};
use serde_json::{Value, json};

use super::{Figure, axis, layout, log_axis, short, shorts, spaced};

const N_COLOUR: &str = "#2a5f92";
const D_COLOUR: &str = "#e07a3f";

/// `None` where no split is best.
pub(super) fn figure<L: Law>(analysis: &Analysis<L>) -> Option<Figure> {
    let (first, last) = (analysis.optima.first()?.best.flops, analysis.optima.last()?.best.flops);
    let law = analysis.fit.law;
    let best: Vec<scaling::Optimum> =
        spaced(first, last.max(first * 10.0), 40).into_iter().filter_map(|flops| law.optimum(flops)).collect();
    let line = |name: &str, colour: &str, quantity: fn(&scaling::Optimum) -> f64| {
        json!({
            "type": "scatter", "mode": "lines", "name": name, "showlegend": true,
            "x": shorts(best.iter().map(|at| at.flops)), "y": shorts(best.iter().map(quantity)),
            "line": { "color": colour, "width": 2.2 },
            "hovertemplate": format!("C %{{x:.3~e}}<br>{name} %{{y:.3s}}<extra></extra>"),
        })
    };
    let mut data: Vec<Value> = Vec::new();
    data.extend(band(&analysis.optima, "rgba(42,95,146,0.16)", |at| at.n));
    data.extend(band(&analysis.optima, "rgba(224,122,63,0.18)", |at| at.d));
    data.push(line("N, parameters", N_COLOUR, |at| at.n));
    data.push(line("D, tokens", D_COLOUR, |at| at.d));
    let mut x = axis("C = 6ND, operations");
    x["type"] = json!("log");
    x["exponentformat"] = json!("power");
    x["dtick"] = json!(1);
    let ends = [|at: &BudgetOptimum| (at.best.n, at.n), |at: &BudgetOptimum| (at.best.d, at.d)];
    let (least, most) = super::span(
        analysis
            .optima
            .iter()
            .flat_map(|at| ends.map(|of| of(at)))
            .flat_map(|(best, interval)| interval.map_or([best, best], |interval| [interval.low, interval.high])),
    );
    let mut layout = layout(x, log_axis("N and D", least / 1.5, most * 1.5));
    let (low, high) = super::span(analysis.diagnostics.residuals.iter().map(|row| 6.0 * row.n * row.d));
    layout["shapes"] = json!([{ "type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": short(low), "x1": short(high),
        "layer": "below", "fillcolor": "#eef1f4", "line": { "width": 0 } }]);
    layout["annotations"] = json!([{ "xref": "x", "yref": "paper", "x": short((low * high).sqrt().log10()), "y": 1,
        "yanchor": "top", "text": "budgets of the measured models", "showarrow": false,
        "font": { "size": 12, "color": "#5b6673" } }]);
    Some(Figure {
        id: "optimum",
        title: "Compute-optimal models",
        explanation:
            "How the law would have a budget C = 6ND split between parameters and tokens, with the intervals where \
                      the points bound it. Outside of the grey budgets it is an extrapolation."
                .to_owned(),
        height: 380,
        data,
        layout,
    })
}

/// From the lower ends of the intervals and back along the upper ones.
fn band(optima: &[BudgetOptimum], colour: &str, of: fn(&BudgetOptimum) -> Option<Interval>) -> Option<Value> {
    let ends: Vec<(f64, Interval)> = optima.iter().filter_map(|at| Some((at.best.flops, of(at)?))).collect();
    let there = ends.iter().map(|(flops, interval)| (*flops, interval.low));
    let back = ends.iter().rev().map(|(flops, interval)| (*flops, interval.high));
    let outline: Vec<(f64, f64)> = there.chain(back).collect();
    (ends.len() > 1).then(|| {
        json!({
            "type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": colour, "showlegend": false,
            "x": shorts(outline.iter().map(|at| at.0)), "y": shorts(outline.iter().map(|at| at.1)),
            "line": { "width": 0 }, "hoverinfo": "skip",
        })
    })
}
