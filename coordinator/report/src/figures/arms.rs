//! The arms of a comparison: final losses by amount of data.

use std::collections::BTreeMap;

use super::palette::of_kind;
use super::{
    Axis, Dash, Digits, End, Figure, Fill, Hover, Line, Mark, Marker, Part, Series, Sizes, Symbol, log_axis, single,
    span, words,
};
use crate::words::in_unit;

/// More lines than this are unreadable.
const MAX_LINES: usize = 60;
/// Dash and symbol distinguish sizes, colour distinguishes arms. The two repeat after different counts, so that few sizes
/// share both.
const DASHES: [Dash; 4] = [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::DashDotted];
const SYMBOLS: [Symbol; 5] =
    [Symbol::Circle, Symbol::Square, Symbol::Diamond, Symbol::TriangleUp, Symbol::TriangleDown];

/// One size in one arm.
struct Model<'a> {
    arm: &'a str,
    size: &'a str,
    means: Vec<Mean>,
}

/// The mean loss at one amount of data.
struct Mean {
    d: f64,
    loss: f64,
    decayed: bool,
}

/// `unit` is that of the losses. `None` if the recipe has no arms, or no line would have two amounts of data.
#[must_use]
pub fn arms(ends: &[End], unit: &'static str) -> Option<Figure> {
    if ends.iter().all(|end| end.arm.is_none()) {
        return None;
    }
    let models = models(ends);
    if models.iter().all(|model| model.means.len() < 2) {
        return None;
    }
    let arms = distinct(models.iter().map(|model| model.arm));
    let sizes = distinct(models.iter().map(|model| model.size));
    let place = |all: &[&str], name: &str| all.iter().position(|other| *other == name).unwrap_or_default();
    let marks = models.iter().take(MAX_LINES).map(|Model { arm, size, means }| {
        let (colour, nth) = (of_kind(place(&arms, arm)), place(&sizes, size));
        let fill = |mean: &Mean| if mean.decayed { colour.to_owned() } else { "#ffffff".to_owned() };
        let label = format!("{arm} {size}").trim().to_owned();
        Mark::Series(Series {
            in_legend: true,
            line: Some(Line { dash: DASHES[nth % DASHES.len()], ..Line::solid(colour, 1.6) }),
            marker: Some(Marker {
                symbol: SYMBOLS[nth % SYMBOLS.len()],
                sizes: Sizes::All(7.0),
                fill: Fill::Each(means.iter().map(fill).collect()),
                edge: Some((colour.to_owned(), 1.4)),
            }),
            hover: Hover::titled(&label).line([Part::X(Digits::Suffix), words(" tokens")]).line([
                Part::Y(Digits::Fixed(4)),
                words(" "),
                words(unit),
            ]),
            ..Series::new(&label, means.iter().map(|mean| (mean.d, mean.loss)))
        })
    });
    let (low, high) = span(ends.iter().map(|end| end.d as f64));
    let differ = |of: fn(&End) -> u64| ends.iter().any(|end| of(end) != of(&ends[0]));
    let mut explanation =
        "The loss on held-out text at the end of each trial, over the tokens it was trained on, one line per \
                           arm and size."
            .to_owned();
    if differ(|end| end.seed) {
        explanation.push_str(" Losses are averaged over seeds.");
    }
    if differ(|end| end.peak_lr.to_bits()) {
        explanation.push_str(" Where an arm tries several peak learning rates, the lowest loss counts.");
    }
    if ends.iter().any(|end| !end.decayed) {
        explanation.push_str(" Hollow dots are losses before the learning rate had decayed.");
    }
    let axes = [log_axis("tokens trained on", low / 1.1, high * 1.1), Axis::linear(in_unit("loss", unit))];
    Some(Figure { explanation, marks: marks.collect(), ..single("arms", "The arms compared", 460, axes) })
}

/// One line per arm and size, in the order of the points.
fn models(ends: &[End]) -> Vec<Model<'_>> {
    let mut models: Vec<((&str, &str), Vec<&End>)> = Vec::new();
    for end in ends {
        let model = (end.arm.as_deref().unwrap_or_default(), end.size.as_str());
        match models.iter_mut().find(|(other, _)| *other == model) {
            Some((_, of_model)) => of_model.push(end),
            None => models.push((model, vec![end])),
        }
    }
    models.into_iter().map(|((arm, size), of_model)| Model { arm, size, means: means(&of_model) }).collect()
}

/// Per amount of data: the mean over seeds of each learning rate, and the lowest of those means.
fn means(ends: &[&End]) -> Vec<Mean> {
    let mut by_d: BTreeMap<u64, BTreeMap<u64, Vec<&End>>> = BTreeMap::new();
    for end in ends {
        by_d.entry(end.d).or_default().entry(end.peak_lr.to_bits()).or_default().push(end);
    }
    let mean = |(d, rates): (u64, BTreeMap<u64, Vec<&End>>)| {
        let means = rates.into_values().map(|seeds| Mean {
            d: d as f64,
            loss: seeds.iter().map(|end| end.loss).sum::<f64>() / seeds.len() as f64,
            decayed: seeds.iter().all(|end| end.decayed),
        });
        means.min_by(|a, b| a.loss.total_cmp(&b.loss))
    };
    by_d.into_iter().filter_map(mean).collect()
}

/// Each name once, in order of appearance.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}
