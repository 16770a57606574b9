//! The learning rate over the steps, as the plan has it: a pure function of the step, so nothing need be measured.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vocabulary::{LrSchedule, Stage};

use super::palette::of_kind;
use super::{Figure, Palette, axis, layout, short};
use crate::conclusion::Conclusion;
use crate::grid::Labels;
use crate::html::escape;
use crate::points::is_decay;

/// The colour of a line that stands for several sizes.
const SHARED: &str = "#2a5f92";
/// Steps of a stage to draw, where it is not straight.
const DRAWN: u64 = 40;
/// Different learning rates beyond which a figure shows none of them.
const MAX_LINES: usize = 100;

/// A line, and the models it is of.
struct Line {
    labels: Vec<String>,
    colour: String,
    steps_and_rates: [Vec<Value>; 2],
}

pub(super) fn figure(conclusion: &Conclusion, palette: &Palette) -> Figure {
    let plan = &conclusion.campaign.plan;
    // Sizes with the same points have the same learning rates; one line stands for all of them.
    let mut drawn: Vec<Line> = Vec::new();
    let (labels, stages) = (Labels::of(plan), plan.stages_by_key());
    let mut lines: BTreeMap<_, [Vec<Value>; 2]> = BTreeMap::new();
    let mut roots = BTreeMap::new();
    for stage in &plan.stages {
        let root = stage.parent.and_then(|parent| roots.get(&parent).copied()).unwrap_or(stage.key);
        roots.insert(stage.key, root);
        let line = lines.entry(root).or_default();
        // From the last step before it, so that a branch begins on its trunk.
        let before =
            stage.parent.and_then(|parent| Some((stages.get(&parent)?, stage.spec.steps.start.checked_sub(1)?)));
        let before = before.map(|(parent, step)| (step, parent.spec.learning_rate(step)));
        let own = steps(stage).into_iter().map(|step| (step, stage.spec.learning_rate(step)));
        for (step, rate) in before.into_iter().chain(own) {
            line[0].push(json!(step));
            line[1].push(short(rate));
        }
        line.iter_mut().for_each(|values| values.push(Value::Null));
    }
    for root in conclusion.roots() {
        let (Some(steps_and_rates), Some(label), Some(stage)) =
            (lines.remove(&root), labels.root(&root), stages.get(&root))
        else {
            continue;
        };
        match drawn.iter_mut().find(|other| other.steps_and_rates == steps_and_rates) {
            Some(same) if same.labels.last().is_none_or(|last| last != label) => same.labels.push(label.to_owned()),
            Some(_) => {}
            None => {
                let colour = palette.run(stage);
                drawn.push(Line { labels: vec![label.to_owned()], colour, steps_and_rates });
            }
        }
    }
    let has_arms = plan.trials.iter().any(|trial| trial.arm.is_some());
    let several_shared = drawn.iter().filter(|line| line.labels.len() > 1).count() > 1;
    // Runs of one model that share nothing, as those of a cosine schedule do not, have one name and one colour.
    let mut named: Vec<String> = Vec::new();
    let data = drawn.iter().take(MAX_LINES).map(|Line { labels, colour, steps_and_rates: [steps, rates] }| {
        let label = match labels.as_slice() {
            [first, .., last] => format!("{} to {}", escape(first), escape(last)),
            [only] => escape(only),
            [] => String::new(),
        };
        let place = named.iter().position(|other| *other == label);
        let is_first = place.is_none();
        let place = place.unwrap_or(named.len());
        if is_first {
            named.push(label.clone());
        }
        let colour = match labels.len() {
            _ if has_arms || several_shared => of_kind(place),
            0 | 1 => colour,
            _ => SHARED,
        };
        json!({
            "type": "scatter", "mode": "lines", "name": label, "legendgroup": label, "showlegend": is_first,
            "x": steps, "y": rates, "connectgaps": false,
            "line": { "color": colour, "width": 1.8 },
            "hovertemplate": format!("{label}<br>step %{{x}}<br>%{{y:.3~g}}<extra></extra>"),
        })
    });
    // Some arms have no trunk that stays at the peak.
    let branches = plan.stages.iter().any(|stage| stage.parent.is_some() && is_decay(stage));
    let shape = match branches && plan.search.is_none() {
        true if has_arms => " Where trials share their beginning, each leaves it as a branch.",
        true => " The trunk warms up and stays at the peak; each branch decays from it.",
        false => "",
    };
    let mut y = axis("learning rate");
    y["rangemode"] = json!("tozero");
    y["exponentformat"] = json!("power");
    Figure {
        id: "learning-rate",
        title: "Learning rate",
        explanation: format!("The learning rate over the optimiser steps, before the factor for wide matrices.{shape}"),
        height: 300,
        data: data.collect(),
        layout: layout(axis("steps"), y),
    }
}

/// The steps of a stage that a line through them needs.
fn steps(stage: &Stage) -> Vec<u64> {
    let (start, last) = (stage.spec.steps.start, stage.spec.steps.end - 1);
    let mut steps: Vec<u64> = if let LrSchedule::Constant { warmup_steps } = stage.spec.schedule {
        vec![start, (start + warmup_steps.saturating_sub(1)).min(last), last]
    } else {
        let stride = (last - start).div_ceil(DRAWN).max(1);
        (start..=last).step_by(stride as usize).chain([last]).collect()
    };
    steps.dedup();
    steps
}
