//! Compute-optimal N and D over the budget.

use scaling::{Analysis, BudgetOptimum, Interval, Law, Optimum};

use super::{
    Axis, Band, Digits, Figure, Hover, Line, Mark, Numbers, Part, Scale, Series, Ticks, log_axis, single, spaced, span,
    words,
};

const N_COLOUR: &str = "#2a5f92";
const D_COLOUR: &str = "#e07a3f";

/// `None` if the law has no optimal split.
#[must_use]
pub fn optimum<L: Law>(analysis: &Analysis<L>) -> Option<Figure> {
    let (first, last) = (analysis.optima.first()?.best.flops, analysis.optima.last()?.best.flops);
    let (law, cost) = (analysis.fit.law, analysis.settings.cost);
    let (low, high) = span(analysis.diagnostics.residuals.iter().map(|row| cost.flops(row.n, row.d)));
    // The measured budgets are drawn as well: there the law is not extrapolated.
    let first = first.min(low);
    let best: Vec<Optimum> =
        spaced(first, last.max(first * 10.0), 40).into_iter().filter_map(|flops| cost.optimum(&law, flops)).collect();
    let line = |name: &str, colour: &str, quantity: fn(&Optimum) -> f64| {
        Mark::Series(Series {
            in_legend: true,
            line: Some(Line::solid(colour, 2.2)),
            hover: Hover::default()
                .line([words("C "), Part::X(Digits::Power)])
                .line([words(format!("{name} ")), Part::Y(Digits::Suffix)]),
            ..Series::new(name, best.iter().map(|at| (at.flops, quantity(at))))
        })
    };
    let mut marks: Vec<Mark> = Vec::new();
    marks.extend(band(&analysis.optima, "rgba(42,95,146,0.16)", |at| at.n));
    marks.extend(band(&analysis.optima, "rgba(224,122,63,0.18)", |at| at.d));
    marks.push(line("N, parameters", N_COLOUR, |at| at.n));
    marks.push(line("D, tokens", D_COLOUR, |at| at.d));
    let x = Axis { scale: Scale::Log, numbers: Numbers::Power, ticks: Ticks::Powers, ..Axis::linear("C, operations") };
    let ends = [|at: &BudgetOptimum| (at.best.n, at.n), |at: &BudgetOptimum| (at.best.d, at.d)];
    let (least, most) = span(
        analysis
            .optima
            .iter()
            .flat_map(|at| ends.map(|of| of(at)))
            .flat_map(|(best, interval)| interval.map_or([best, best], |interval| [interval.low, interval.high]))
            .chain(best.iter().flat_map(|at| [at.n, at.d])),
    );
    Some(Figure {
        explanation: format!(
            "How the law splits a budget, {}, between parameters and tokens, with intervals where the points bound it. \
                 Outside the grey budgets it is an extrapolation.",
            cost.describe()
        ),
        marks,
        bands: vec![Band::Between([low, high], "budgets of the measured models")],
        ..single("optimum", "Compute-optimal models", 380, [x, log_axis("N and D", least / 1.5, most * 1.5)])
    })
}

/// Along the lower ends of the intervals and back along the upper ones.
fn band(optima: &[BudgetOptimum], colour: &str, of: fn(&BudgetOptimum) -> Option<Interval>) -> Option<Mark> {
    let ends: Vec<(f64, Interval)> = optima.iter().filter_map(|at| Some((at.best.flops, of(at)?))).collect();
    let there = ends.iter().map(|(flops, interval)| (*flops, interval.low));
    let back = ends.iter().rev().map(|(flops, interval)| (*flops, interval.high));
    (ends.len() > 1)
        .then(|| Mark::Series(Series { fill: Some(colour.to_owned()), ..Series::new("", there.chain(back)) }))
}
