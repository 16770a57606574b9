//! The stage tree, one lane per root.

use std::collections::BTreeMap;

use vocabulary::units::human_count;
use vocabulary::{Cost, Flops, Tokens};

use super::{
    Axis, Dash, Digits, End, Fate, Figure, Fill, Hover, Line, Mark, Marker, Palette, Part, Runs, Series, Sizes, State,
    Symbol, Ticks, Value, single,
};

const LOST_COLOUR: &str = "#c0392b";

/// With more lanes than this, a lane would be a pixel high.
const MAX_LANES: usize = 120;
/// How far a branch falls below its trunk, in lanes.
const FALL: f64 = 0.45;

/// All stages, how far each has got, and their total cost; `ends` are the measured losses and `trained` the tokens trained so
/// far.
#[must_use]
pub fn tree(runs: &Runs, ends: &[End], fates: &[Fate], trained: Tokens, cost: &Cost, palette: &Palette) -> Figure {
    let drawn = runs.runs.len().min(MAX_LANES);
    let losses: BTreeMap<usize, f64> = ends.iter().map(|end| (end.stage, end.loss)).collect();
    let mut marks: Vec<Mark> = Vec::new();
    let mut branches: BTreeMap<Option<usize>, i32> = BTreeMap::new();
    for (index, stage) in runs.stages.iter().enumerate().filter(|(_, stage)| stage.run < drawn) {
        let per_step = stage.tokens_per_step as f64;
        let [start, end] = [stage.steps.start, stage.steps.end].map(|step| step as f64 * per_step);
        let is_branch = stage.is_branch();
        // Branches of several arms leave a trunk at the same step and are drawn side by side.
        let beside = branches.entry(stage.parent).or_insert(0);
        let fall = if is_branch { FALL / (1.0 + 0.35 * f64::from(*beside)) } else { 0.0 };
        *beside += i32::from(is_branch);
        let lane = stage.run as f64;
        let colour = palette.run(runs, stage.run);
        let loss = losses.get(&index);
        let mut about = format!(
            "{}, {}\nsteps {} to {}\n{} tokens, {} operations\n{}",
            stage.size,
            if is_branch { "decay" } else { "trunk" },
            stage.steps.start,
            stage.steps.end,
            human_count((stage.steps.end - stage.steps.start) as f64 * per_step),
            Flops(stage.flops),
            stage.key
        );
        about.extend(loss.map(|loss| format!("\nloss {loss:.4}")));
        let fate = fates.get(index).copied();
        about.extend(fate.filter(|fate| fate.state != State::Completed).map(|fate| format!("\n{}", said(fate))));
        // What was not trained is dotted.
        let reached = fate.map_or(end, |fate| fate.trained_to as f64 * per_step).clamp(start, end);
        let share = if end > start { (reached - start) / (end - start) } else { 1.0 };
        let tip = (reached, lane + fall * share);
        let lost = fate.is_some_and(|fate| matches!(fate.state, State::Diverged | State::GivenUp));
        let fill = if loss.is_some() || !stage.is_decay { colour.clone() } else { "#ffffff".to_owned() };
        let about = Value::Words(about);
        if reached < end {
            marks.push(Mark::Series(Series {
                line: Some(Line { dash: Dash::Dotted, ..Line::solid(&colour, 1.0) }),
                hover: Hover::default().line([Part::Value(0, Digits::All)]),
                values: vec![vec![about.clone()], vec![about.clone()]],
                ..Series::new("", [tip, (end, lane + fall)])
            }));
        }
        if lost {
            marks.push(Mark::Series(Series {
                marker: Some(Marker { symbol: Symbol::TriangleUp, ..Marker::disc(LOST_COLOUR, 10.0) }),
                hover: Hover::default().line([Part::Value(0, Digits::All)]),
                values: vec![vec![about.clone()]],
                ..Series::new("", [tip])
            }));
        }
        if reached == start && end > start {
            continue;
        }
        marks.push(Mark::Series(Series {
            line: Some(Line::solid(&colour, if is_branch { 1.4 } else { 4.0 })),
            marker: Some(Marker {
                symbol: Symbol::Circle,
                sizes: Sizes::Each(vec![0.0, if is_branch { 8.0 } else { 5.0 }]),
                fill: Fill::All(fill),
                edge: Some((colour, 1.4)),
            }),
            hover: Hover::default().line([Part::Value(0, Digits::All)]),
            values: vec![vec![about.clone()], vec![about]],
            ..Series::new("", [(start, lane), tip])
        }));
    }
    let lanes = runs.runs[..drawn].iter().enumerate().map(|(lane, run)| (lane as f64, run.label.clone()));
    let y = Axis {
        range: Some([drawn as f64 - 1.0 + 0.8, -0.5]),
        ticks: Ticks::At(lanes.collect()),
        grid: false,
        ..Axis::linear("")
    };
    let saved = 100.0 * (1.0 - cost.flops.0 / cost.flops_unshared.0);
    let rest = match runs.runs.len() - drawn {
        0 => String::new(),
        rest => format!(" {rest} more roots are not drawn."),
    };
    Figure {
        explanation: format!(
            "Every stage, trained once. Thick lines are trunks; thin lines are decays that branch off, each to one point, \
             hollow if not measured yet. {} The whole plan has {} tokens and {} operations. Without sharing, the points \
             would take {} tokens; sharing saves {saved:.0}% of the operations.{rest}",
            so_far(fates, trained, cost),
            cost.tokens,
            cost.flops,
            cost.tokens_unshared
        ),
        marks,
        ..single(
            "tree",
            "The stage tree",
            (110 + drawn * 46).min(110 + 46 * 20).max(110 + drawn * 12),
            [Axis::linear("tokens trained on"), y],
        )
    }
}

/// What became of a stage, as people read it.
fn said(fate: Fate) -> String {
    let state = match fate.state {
        State::Completed => "completed",
        State::Open => "not finished",
        State::Diverged => "diverged",
        State::GivenUp => "given up",
        State::NotRun => "not run",
    };
    format!("{state}, trained to step {}", fate.trained_to)
}

/// How much of the plan was trained, and what was not.
fn so_far(fates: &[Fate], trained: Tokens, cost: &Cost) -> String {
    let kinds = [
        (State::Diverged, "diverged"),
        (State::GivenUp, "given up"),
        (State::NotRun, "not run"),
        (State::Open, "not finished"),
    ];
    let count = |state| fates.iter().filter(|fate| fate.state == state).count();
    let counts: Vec<String> = kinds
        .map(|(state, word)| (count(state), word))
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match counts.is_empty() {
        true => format!("All {} tokens are trained.", cost.tokens),
        false => format!(
            "{trained} of {} tokens are trained; of {} stages, {}. What is not trained is dotted, and red triangles mark \
             stages that diverged or were given up.",
            cost.tokens,
            fates.len(),
            counts.join(", ")
        ),
    }
}
