//! The learning rate over the steps: a pure function of the step, so it is drawn from the plan.

use super::palette::of_kind;
use super::{Axis, Digits, Figure, Hover, Line, Mark, Numbers, Palette, Part, Runs, Series, single, words};

/// The colour of a line that stands for several sizes.
const SHARED: &str = "#2a5f92";
/// More lines than this are unreadable.
const MAX_LINES: usize = 100;

/// A line and the models that share it.
struct Shared<'a> {
    labels: Vec<&'a str>,
    colour: String,
    rates: Vec<(f64, f64)>,
}

/// `rates` has steps and learning rates per stage, in the order of [`Runs::stages`]: as many as a line needs, preceded for a
/// branch by the last one of its trunk, so that it begins there.
#[must_use]
pub fn learning_rate(runs: &Runs, rates: &[Vec<(u64, f64)>], palette: &Palette) -> Figure {
    let mut lines: Vec<Vec<(f64, f64)>> = vec![Vec::new(); runs.runs.len()];
    for (stage, rates) in runs.stages.iter().zip(rates) {
        let line = &mut lines[stage.run];
        line.extend(rates.iter().map(|(step, rate)| (*step as f64, *rate)));
        line.push((f64::NAN, f64::NAN));
    }
    // Sizes with the same points have the same learning rates and share a line.
    let mut drawn: Vec<Shared<'_>> = Vec::new();
    for (number, (run, rates)) in runs.runs.iter().zip(lines).enumerate() {
        let label = run.label.as_str();
        match drawn.iter_mut().find(|other| same(&other.rates, &rates)) {
            Some(shared) if shared.labels.last().is_none_or(|last| *last != label) => shared.labels.push(label),
            Some(_) => {}
            None => drawn.push(Shared { labels: vec![label], colour: palette.run(runs, number), rates }),
        }
    }
    let several_shared = drawn.iter().filter(|line| line.labels.len() > 1).count() > 1;
    // Runs of one model that share no stage (a cosine schedule, for instance) have one name and one colour.
    let mut named: Vec<String> = Vec::new();
    let marks = drawn.into_iter().take(MAX_LINES).map(|Shared { labels, colour, rates }| {
        let label = match labels.as_slice() {
            [first, .., last] => format!("{first} to {last}"),
            [only] => (*only).to_owned(),
            [] => String::new(),
        };
        let place = named.iter().position(|other| *other == label);
        let is_first = place.is_none();
        let place = place.unwrap_or(named.len());
        if is_first {
            named.push(label.clone());
        }
        let colour = match labels.len() {
            _ if runs.has_arms || several_shared => of_kind(place).to_owned(),
            0 | 1 => colour,
            _ => SHARED.to_owned(),
        };
        Mark::Series(Series {
            group: Some(label.clone()),
            in_legend: is_first,
            line: Some(Line::solid(colour, 1.8)),
            hover: Hover::titled(&label).line([words("step "), Part::X(Digits::All)]).line([Part::Y(Digits::Three)]),
            ..Series::new(label, rates)
        })
    });
    let marks = marks.collect();
    // Not every arm has a trunk that stays at the peak.
    let branches = runs.stages.iter().any(super::Stage::is_branch);
    let shape = match branches && !runs.is_search {
        true if runs.has_arms => " Trials that share a beginning branch off from it.",
        true => " The trunk warms up and stays at the peak; each branch decays from it.",
        false => "",
    };
    let y = Axis { from_zero: true, numbers: Numbers::Power, ..Axis::linear("learning rate") };
    Figure {
        explanation: format!("Learning rate over optimiser steps, before the width multiplier of matrices.{shape}"),
        marks,
        ..single("learning-rate", "Learning rate", 300, [Axis::linear("steps"), y])
    }
}

/// Whether two lines look the same: differences too small to see are ignored.
fn same(one: &[(f64, f64)], other: &[(f64, f64)]) -> bool {
    let alike = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs();
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a.0, b.0) && alike(a.1, b.1))
}
