//! Per-step measurements: stacked panels over the same steps.

use super::thin::{Thinning, medians};
use super::{
    Axis, Digits, Figure, Hover, Line, Mark, Numbers, Palette, Panel, Part, Runs, Scale, Series, Ticks, words,
};

/// One measurement, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// What it is called; a line break is `\n`.
    pub title: String,
    /// Whether equal factors are equally long.
    pub is_logarithmic: bool,
    /// Steps and values per stage, in the order of [`Runs::stages`]; empty for stages that record nothing.
    pub values: Vec<Vec<(u64, f64)>>,
}

/// Height of a panel, and of everything around the panels, in pixels.
const PANEL_HEIGHT: usize = 130;
const AROUND: usize = 90;
/// The fraction of a panel's height left free below it.
const FREE: f64 = 0.14;

/// How gradients and weights move. `None` if nothing was recorded.
#[must_use]
pub fn tracks(runs: &Runs, tracks: &[Track], palette: &Palette) -> Option<Figure> {
    // The first track has a value at every recorded step.
    let recorded = &tracks.first()?.values;
    let is_recorded = |index: usize| !recorded[index].is_empty();
    let stages = || runs.stages.iter().enumerate().filter(|(index, _)| is_recorded(*index));
    let longest = stages().map(|(_, stage)| stage.steps.end).max()?;
    let all = recorded.iter().map(|values| values.len() as u64).sum();
    let thinning = Thinning::of(longest, all, stages().count() as u64);

    let mut marks = Vec::new();
    for (number, run) in runs.runs.iter().enumerate() {
        let of_run = || stages().filter(|(_, stage)| stage.run == number);
        if of_run().next().is_none() {
            continue;
        }
        let colour = palette.run(runs, number);
        for (panel, track) in tracks.iter().enumerate() {
            let mut points = Vec::new();
            for (index, _) in of_run() {
                points.extend(medians(track.values[index].iter().copied(), thinning));
                points.push((f64::NAN, f64::NAN));
            }
            let name = track.title.replace('\n', " ");
            marks.push(Mark::Series(Series {
                group: Some(run.label.clone()),
                in_legend: panel == 0,
                panel,
                line: Some(Line::solid(&colour, 1.4)),
                hover: Hover::titled(&run.label)
                    .line([words("step "), Part::X(Digits::All)])
                    .line([words(format!("{name} ")), Part::Y(Digits::Three)]),
                ..Series::new(&run.label, points)
            }));
        }
    }
    let count = tracks.len();
    let panels = tracks.iter().enumerate().map(|(index, track)| {
        let top = 1.0 - index as f64 / count as f64;
        let (scale, ticks) = match track.is_logarithmic {
            true => (Scale::Log, Ticks::AtMost(4)),
            false => (Scale::Linear, Ticks::Fitting),
        };
        Panel {
            x: (index + 1 == count).then(|| Axis::linear("steps")),
            y: Axis {
                scale,
                ticks,
                numbers: Numbers::Power,
                place: Some([top - (1.0 - FREE) / count as f64, top]),
                ..Axis::linear(&track.title)
            },
        }
    });
    let mut explanation = "How gradients and weights move from step to step, for stages that recorded it. The cosine is between the \
        gradients of consecutive steps; D1 is the slope of the loss along the last update, D2 the rate at which that slope \
        changes, and the curvature that of the loss along the update. In the MiniCPM paper, gradients shrink and align, the \
        slope falls and the curvature rises as the learning rate decays, as they do near a minimum."
        .to_owned();
    if thinning.stretch > 1 {
        explanation.push_str(&format!(" Lines are medians over up to {} steps.", thinning.stretch));
    }
    Some(Figure {
        id: "dynamics",
        title: "Decay dynamics",
        explanation,
        height: count * PANEL_HEIGHT + AROUND,
        panels: panels.collect(),
        marks,
        bands: Vec::new(),
    })
}
