//! Loss curves, each branch joined to its trunk.

use std::collections::BTreeSet;

use super::thin::{Thinned, Thinning, curve};
use super::{
    Axis, Digits, End, Figure, Hover, Line, Mark, Marker, Palette, Part, Runs, Series, Symbol, single, span, words,
};

const NOT_FINITE_COLOUR: &str = "#c0392b";

/// A line with gaps: tokens and losses.
#[derive(Default)]
struct Joined {
    points: Vec<(f64, f64)>,
    /// The stage it ends with.
    tip: Option<usize>,
}

impl Joined {
    /// Appends a stage, starting from its parent's last point unless the line already ends there.
    fn extend(&mut self, stage: usize, parent: Option<(usize, (f64, f64))>, points: &[(f64, f64)]) {
        let goes_on = self.tip.is_some() && parent.is_some_and(|(parent, _)| self.tip == Some(parent));
        if !goes_on {
            if self.tip.is_some() {
                self.points.push((f64::NAN, f64::NAN));
            }
            self.points.extend(parent.map(|(_, at)| at));
        }
        self.points.extend(points);
        self.tip = Some(stage);
    }
}

/// Every curve of a campaign, thinned, and the losses it spans.
struct Drawn {
    /// Per run: the trunk, and all branches.
    lines: Vec<[Joined; 2]>,
    /// Per run: the tokens after which the loss was NaN or infinite.
    not_finite: Vec<Vec<f64>>,
    /// The largest number of steps averaged into one point.
    stretch: u64,
    low: f64,
    /// The largest loss after the steep beginning.
    high: f64,
    highest: f64,
}

impl Drawn {
    fn of(runs: &Runs, curves: &[Vec<(u64, f64)>], ends: &[End], settled: u64) -> Self {
        let longest = runs.stages.iter().map(|stage| stage.steps.end).max().unwrap_or_default();
        let all = curves.iter().map(|curve| curve.len() as u64).sum();
        let (low, high) = span(ends.iter().map(|end| end.loss));
        let thinning = Thinning::of(longest, all, runs.stages.len() as u64);
        let lines = runs.runs.iter().map(|_| <[Joined; 2]>::default()).collect();
        let not_finite = vec![Vec::new(); runs.runs.len()];
        let mut drawn = Self { lines, not_finite, stretch: thinning.stretch, low, high, highest: high };
        let mut tips: Vec<Option<(f64, f64)>> = vec![None; runs.stages.len()];
        for (index, (stage, points)) in runs.stages.iter().zip(curves).enumerate() {
            let Thinned { line, not_finite } = curve(points, thinning);
            for (step, loss) in &line {
                drawn.low = drawn.low.min(*loss);
                drawn.highest = drawn.highest.max(*loss);
                if *step >= settled as f64 {
                    drawn.high = drawn.high.max(*loss);
                }
            }
            let per_step = stage.tokens_per_step as f64;
            drawn.not_finite[stage.run].extend(not_finite.into_iter().map(|step| step * per_step));
            let points: Vec<(f64, f64)> = line.into_iter().map(|(step, loss)| (step * per_step, loss)).collect();
            let Some(tip) = points.last() else { continue };
            let parent = stage.parent.and_then(|parent| Some((parent, tips[parent]?)));
            drawn.lines[stage.run][usize::from(stage.is_branch())].extend(index, parent, &points);
            tips[index] = Some(*tip);
        }
        drawn
    }
}

/// `curves` has steps and losses (nats a token) per stage, in the order of [`Runs::stages`]; empty for stages not begun. Losses
/// before the step `settled` do not stretch the axis. `None` if nothing has been trained.
#[must_use]
pub fn curves(
    runs: &Runs,
    curves: &[Vec<(u64, f64)>],
    ends: &[End],
    settled: u64,
    palette: &Palette,
) -> Option<Figure> {
    let Drawn { lines, not_finite, stretch, low, high, highest } = Drawn::of(runs, curves, ends, settled);
    let room = 0.04 * (high - low).max(0.01);
    let is_drawn = |lines: &[Joined; 2]| lines.iter().any(|line| line.tip.is_some());
    if !lines.iter().any(is_drawn) && not_finite.iter().all(Vec::is_empty) {
        return None;
    }
    let mut named = BTreeSet::new();
    let mut marks = Vec::new();
    for (number, (run, lines)) in runs.runs.iter().zip(lines).enumerate() {
        let lost = &not_finite[number];
        if !is_drawn(&lines) && lost.is_empty() {
            continue;
        }
        let label = &run.label;
        let colour = palette.run(runs, number);
        let hover = |what| {
            Hover::titled(format!("{label}, {what}"))
                .line([Part::X(Digits::Suffix), words(" tokens")])
                .line([Part::Y(Digits::Fixed(4)), words(" nats a token")])
        };
        for (line, (width, what)) in lines.into_iter().zip([(1.6, "run"), (2.0, "decay")]) {
            if line.tip.is_none() {
                continue;
            }
            marks.push(Mark::Series(Series {
                group: Some(label.clone()),
                in_legend: named.insert(label),
                line: Some(Line::solid(&colour, width)),
                hover: hover(what),
                ..Series::new(label, line.points)
            }));
        }
        if !lost.is_empty() {
            marks.push(Mark::Series(Series {
                group: Some(label.clone()),
                in_legend: named.insert(label),
                marker: Some(Marker { symbol: Symbol::TriangleUp, ..Marker::disc(NOT_FINITE_COLOUR, 9.0) }),
                hover: Hover::titled(format!("{label}, the loss is NaN or infinite"))
                    .line([Part::X(Digits::Suffix), words(" tokens")]),
                ..Series::new(label, lost.iter().map(|tokens| (*tokens, high + room / 2.0)))
            }));
        }
        let of_run = ends.iter().filter(|end| end.run == number);
        marks.push(Mark::Series(Series {
            group: Some(label.clone()),
            marker: Some(Marker { edge: Some(("#ffffff".to_owned(), 1.0)), ..Marker::disc(&colour, 8.0) }),
            hover: hover("on held-out text"),
            ..Series::new(label, of_run.map(|end| (end.d as f64, end.loss)))
        }));
    }
    let y = Axis { range: Some([low - room, high + room]), ..Axis::linear("loss, nats a token") };
    let mut explanation =
        "Training loss of each model over the tokens it has seen. The long line is the trunk that runs share at the peak \
        learning rate; each decay branches off and drops below it. Dots are the points of the campaign: held-out losses at \
        the end of each trial."
            .to_owned();
    if stretch > 1 {
        explanation
            .push_str(&format!(" Lines are averages over up to {stretch} steps; spikes are drawn at their height."));
    }
    if not_finite.iter().any(|lost| !lost.is_empty()) {
        explanation.push_str(" Red triangles at the top mark losses that are NaN or infinite.");
    }
    if highest > high {
        explanation.push_str(" The steep beginning is cut off; double-click to show it.");
    }
    let axes = [Axis::linear("tokens trained on"), y];
    Some(Figure { explanation, marks, ..single("curves", "Loss curves", 520, axes) })
}
