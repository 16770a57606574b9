//! Loss over the peak learning rate, for campaigns that try several.

use std::collections::BTreeMap;

use super::palette::of_index;
use super::{
    Axis, Dash, Digits, Figure, Fill, Hover, Line, Mark, Marker, Part, Series, Sizes, Symbol, log_axis, single, span,
    words,
};
use crate::words::in_unit;

/// How the loss of one model depends on its learning rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The arm, if the recipe has arms.
    pub arm: Option<String>,
    /// The size, as the recipe names it.
    pub size: String,
    /// Learning rates, ascending, each with the loss at the largest amount of data, averaged over seeds.
    pub losses: Vec<(f64, f64)>,
    /// The best learning rate and its loss; `None` if it is not bracketed.
    pub best: Option<(f64, f64)>,
}

/// Returns `None` without sweeps. `unit` is the unit of the losses.
#[must_use]
pub fn peak_lr(sweeps: &[Sweep], unit: &'static str) -> Option<Figure> {
    if sweeps.is_empty() {
        return None;
    }
    let mut marks: Vec<Mark> = Vec::new();
    let mut drawn: BTreeMap<&str, usize> = BTreeMap::new();
    for Sweep { arm, .. } in sweeps {
        let next = drawn.len();
        drawn.entry(arm.as_deref().unwrap_or_default()).or_insert(next);
    }
    for (index, Sweep { arm, size, losses, best }) in sweeps.iter().enumerate() {
        let arm = arm.as_deref().unwrap_or_default();
        let colour = of_index(index, sweeps.len());
        let label = format!("{arm} {size}").trim().to_owned();
        let dash = [Dash::Solid, Dash::Dotted, Dash::Dashed, Dash::DashDotted][drawn[arm] % 4];
        marks.push(Mark::Series(Series {
            group: Some(label.clone()),
            in_legend: true,
            line: Some(Line { dash, ..Line::solid(&colour, 1.6) }),
            marker: Some(Marker::disc(&colour, 6.0)),
            hover: Hover::titled(&label).line([words("peak LR "), Part::X(Digits::All)]).line([
                Part::Y(Digits::Fixed(4)),
                words(" "),
                words(unit),
            ]),
            ..Series::new(&label, losses.iter().copied())
        }));
        marks.push(Mark::Series(Series {
            group: Some(label.clone()),
            marker: Some(Marker { symbol: Symbol::Star, sizes: Sizes::All(11.0), fill: Fill::All(colour), edge: None }),
            hover: Hover::titled(label).line([words("lowest at "), Part::X(Digits::Three)]),
            ..Series::new("", *best)
        }));
    }
    let (low, high) = span(sweeps.iter().flat_map(|sweep| sweep.losses.iter().map(|(lr, _)| *lr)));
    let axes = [log_axis("peak learning rate", low / 1.15, high * 1.15), Axis::linear(in_unit("loss", unit))];
    Some(Figure {
        explanation: "Held-out loss at the largest amount of data of each size, averaged over seeds. A star marks the vertex \
                      of the parabola through the lowest loss and its two neighbours, over the logarithm of the learning \
                      rate; there is no star if the first or the last learning rate is the best."
            .to_owned(),
        marks,
        ..single("peak-lr", "Loss over the peak learning rate", 460, axes)
    })
}
