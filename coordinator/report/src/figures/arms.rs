//! The arms of a comparison: what each ended with, by the amount of data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::palette::of_kind;
use super::{Figure, axis, layout, log_axis, short, span};
use crate::conclusion::Conclusion;
use crate::html::escape;
use crate::points::MeasuredPoint;

/// More lines than this are a carpet.
const MAX_LINES: usize = 60;
/// What tells sizes apart, where colours are for arms. The two repeat after different counts, so that few sizes share both.
const DASHES: [&str; 4] = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS: [&str; 5] = ["circle", "square", "diamond", "triangle-up", "triangle-down"];

/// What an arm makes of a size.
struct Line<'a> {
    arm: &'a str,
    size: &'a str,
    points: Vec<End>,
}

/// What models of one amount of data ended with.
struct End {
    d: f64,
    loss: f64,
    decayed: bool,
}

/// `None` where the recipe has no arms, or no line would have two amounts of data.
pub(super) fn figure(conclusion: &Conclusion) -> Option<Figure> {
    let points = &conclusion.points;
    if points.iter().all(|point| point.arm.is_none()) {
        return None;
    }
    let lines = lines(points);
    if lines.iter().all(|line| line.points.len() < 2) {
        return None;
    }
    let arms = distinct(lines.iter().map(|line| line.arm));
    let sizes = distinct(lines.iter().map(|line| line.size));
    let place = |all: &[&str], name: &str| all.iter().position(|other| *other == name).unwrap_or_default();
    let data = lines.iter().take(MAX_LINES).map(|Line { arm, size, points }| {
        let (colour, nth) = (of_kind(place(&arms, arm)), place(&sizes, size));
        let fill = |end: &End| Value::from(if end.decayed { colour } else { "#ffffff" });
        let label = escape(format!("{arm} {size}").trim());
        json!({
            "type": "scatter", "mode": "lines+markers", "name": label, "showlegend": true,
            "x": points.iter().map(|end| short(end.d)).collect::<Value>(),
            "y": points.iter().map(|end| short(end.loss)).collect::<Value>(),
            "line": { "color": colour, "width": 1.6, "dash": DASHES[nth % DASHES.len()] },
            "marker": {
                "size": 7, "symbol": SYMBOLS[nth % SYMBOLS.len()],
                "color": points.iter().map(fill).collect::<Value>(), "line": { "color": colour, "width": 1.4 },
            },
            "hovertemplate": format!("{label}<br>%{{x:.3s}} tokens<br>%{{y:.4f}} nats a token<extra></extra>"),
        })
    });
    let data = data.collect();
    let (low, high) = span(points.iter().map(|point| point.d as f64));
    let differ = |of: fn(&MeasuredPoint) -> u64| points.iter().any(|point| of(point) != of(&points[0]));
    let mut explanation =
        "The loss on held-out text at the end of each trial, over the tokens it was trained on, a line for \
                           each arm and size."
            .to_owned();
    if differ(|point| point.seed) {
        explanation.push_str(" Losses are means over seeds.");
    }
    if differ(|point| point.peak_lr.to_bits()) {
        explanation.push_str(" Of several peak learning rates of an arm, the one with the lowest loss counts.");
    }
    if points.iter().any(|point| !point.decayed) {
        explanation.push_str(" Hollow dots are losses at a learning rate that had not come down.");
    }
    Some(Figure {
        id: "arms",
        title: "The arms compared",
        explanation,
        height: 460,
        data,
        layout: layout(log_axis("tokens trained on", low / 1.1, high * 1.1), axis("loss, nats a token")),
    })
}

/// A line for each arm and size, in the order of the points.
fn lines(points: &[MeasuredPoint]) -> Vec<Line<'_>> {
    let mut models: Vec<((&str, &str), Vec<&MeasuredPoint>)> = Vec::new();
    for point in points {
        let model = (point.arm.as_deref().unwrap_or_default(), point.size.as_str());
        match models.iter_mut().find(|(other, _)| *other == model) {
            Some((_, of_model)) => of_model.push(point),
            None => models.push((model, vec![point])),
        }
    }
    models.into_iter().map(|((arm, size), of_model)| Line { arm, size, points: ends(&of_model) }).collect()
}

/// By amount of data: of each learning rate the mean over seeds, and of the learning rates the lowest.
fn ends(points: &[&MeasuredPoint]) -> Vec<End> {
    let mut by_d: BTreeMap<u64, BTreeMap<u64, Vec<&MeasuredPoint>>> = BTreeMap::new();
    for point in points {
        by_d.entry(point.d).or_default().entry(point.peak_lr.to_bits()).or_default().push(point);
    }
    let end = |(d, rates): (u64, BTreeMap<u64, Vec<&MeasuredPoint>>)| {
        let means = rates.into_values().map(|seeds| End {
            d: d as f64,
            loss: seeds.iter().map(|point| point.loss).sum::<f64>() / seeds.len() as f64,
            decayed: seeds.iter().all(|point| point.decayed),
        });
        means.min_by(|a, b| a.loss.total_cmp(&b.loss))
    };
    by_d.into_iter().filter_map(end).collect()
}

/// Each name once, in order.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}
