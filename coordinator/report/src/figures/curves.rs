//! Loss curves, each branch joined to the trunk it leaves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vocabulary::StageKey;

use super::thin::{Thinning, means};
use super::{Figure, Palette, axis, layout, short};
use crate::conclusion::Conclusion;
use crate::grid::Labels;
use crate::html::escape;
use crate::points::is_decay;

/// A line with gaps.
#[derive(Default)]
struct Line {
    tokens: Vec<Value>,
    losses: Vec<Value>,
    /// The stage it ends with.
    tip: Option<StageKey>,
}

impl Line {
    /// Goes on with a stage; from its parent's last point, where the line is not there already.
    fn extend(&mut self, key: StageKey, parent: Option<&(StageKey, (f64, f64))>, points: &[(f64, f64)]) {
        let goes_on = self.tip.is_some() && parent.is_some_and(|(parent, _)| self.tip == Some(*parent));
        if !goes_on {
            if self.tip.is_some() {
                self.tokens.push(Value::Null);
                self.losses.push(Value::Null);
            }
            parent.into_iter().for_each(|(_, at)| self.push(*at));
        }
        points.iter().for_each(|at| self.push(*at));
        self.tip = Some(key);
    }

    fn push(&mut self, (tokens, loss): (f64, f64)) {
        self.tokens.push(short(tokens));
        self.losses.push(short(loss));
    }
}

/// Every curve of a campaign, thinned, and the losses it spans.
struct Drawn {
    /// By the first stage of their paths: the trunk, and all its branches.
    lines: BTreeMap<StageKey, [Line; 2]>,
    /// Steps that a point is the mean of, at most.
    stretch: u64,
    low: f64,
    /// Of what has left the steep beginning behind.
    high: f64,
    highest: f64,
}

impl Drawn {
    fn of(conclusion: &Conclusion) -> Self {
        let campaign = &conclusion.campaign;
        let plan = &campaign.plan;
        let stages = plan.stages_by_key();
        let longest = plan.stages.iter().map(|stage| stage.spec.steps.end).max().unwrap_or_default();
        let ends = plan.trials.iter().filter_map(|trial| Some(stages.get(trial.last_stage())?.spec.steps.end));
        let settled = (ends.min().unwrap_or_default() / 4) as f64;
        let all = campaign.curves.values().map(|curve| curve.len() as u64).sum();
        let (low, high) = super::span(conclusion.points.iter().map(|point| point.loss));
        let thinning = Thinning::of(longest, all, plan.stages.len() as u64);
        let mut drawn = Self { lines: BTreeMap::new(), stretch: thinning.stretch, low, high, highest: high };
        let mut tips: BTreeMap<StageKey, (f64, f64)> = BTreeMap::new();
        let mut roots: BTreeMap<StageKey, StageKey> = BTreeMap::new();
        for stage in &plan.stages {
            let root = stage.parent.and_then(|parent| roots.get(&parent).copied()).unwrap_or(stage.key);
            roots.insert(stage.key, root);
            let Some(curve) = campaign.curves.get(&stage.key) else { continue };
            let means: Vec<(f64, f64)> = means(curve, thinning);
            for (step, loss) in &means {
                drawn.low = drawn.low.min(*loss);
                drawn.highest = drawn.highest.max(*loss);
                if *step >= settled {
                    drawn.high = drawn.high.max(*loss);
                }
            }
            let per_step = stage.spec.batch.tokens() as f64;
            let points: Vec<(f64, f64)> = means.into_iter().map(|(step, loss)| (step * per_step, loss)).collect();
            let Some(tip) = points.last() else { continue };
            let parent = stage.parent.and_then(|parent| Some((parent, *tips.get(&parent)?)));
            let is_branch = stage.parent.is_some() && is_decay(stage);
            let lines = drawn.lines.entry(root).or_default();
            lines[usize::from(is_branch)].extend(stage.key, parent.as_ref(), &points);
            tips.insert(stage.key, *tip);
        }
        drawn
    }
}

/// `None` where nothing is trained.
pub(super) fn figure(conclusion: &Conclusion, palette: &Palette) -> Option<Figure> {
    let plan = &conclusion.campaign.plan;
    let stages = plan.stages_by_key();
    let Drawn { lines, stretch, low, high, highest } = Drawn::of(conclusion);
    if lines.is_empty() {
        return None;
    }
    let labels = Labels::of(plan);
    let mut named = BTreeSet::new();
    let mut data = Vec::new();
    for root in conclusion.roots() {
        let (Some(lines), Some(label), Some(stage)) = (lines.get(&root), labels.root(&root), stages.get(&root)) else {
            continue;
        };
        let label = escape(label);
        let colour = palette.run(stage);
        for (line, (width, what)) in lines.iter().zip([(1.6, "run"), (2.0, "decay")]) {
            if line.tip.is_none() {
                continue;
            }
            data.push(json!({
                "type": "scatter", "mode": "lines", "name": label, "legendgroup": label,
                "showlegend": named.insert(label.clone()),
                "x": line.tokens, "y": line.losses, "connectgaps": false,
                "line": { "color": colour, "width": width },
                "hovertemplate": format!("{label}, {what}<br>%{{x:.3s}} tokens<br>%{{y:.4f}} nats a token<extra></extra>"),
            }));
        }
        let ends: Vec<_> = conclusion.points.iter().filter(|point| point.trunk == root).collect();
        data.push(json!({
            "type": "scatter", "mode": "markers", "name": label, "legendgroup": label, "showlegend": false,
            "x": ends.iter().map(|point| short(point.d as f64)).collect::<Value>(),
            "y": ends.iter().map(|point| short(point.loss)).collect::<Value>(),
            "marker": { "color": colour, "size": 8, "line": { "color": "#ffffff", "width": 1 } },
            "hovertemplate": format!("{label}, on held-out text<br>%{{x:.3s}} tokens<br>%{{y:.4f}} nats a token<extra></extra>"),
        }));
    }
    let mut y = axis("loss, nats a token");
    let room = 0.04 * (high - low).max(0.01);
    y["range"] = json!([short(low - room), short(high + room)]);
    let mut explanation =
        "The training loss of each model over the tokens it has seen. Where runs share a trunk at the peak learning rate, \
        that is the long line, and where the learning rate decays a branch drops below it. Dots are the points of the \
        campaign: losses on held-out text at the end of each trial."
            .to_owned();
    if stretch > 1 {
        explanation.push_str(&format!(" Lines are means over up to {stretch} steps."));
    }
    if highest > high {
        explanation.push_str(" The steep beginning is cut off; a double click shows it.");
    }
    Some(Figure {
        id: "curves",
        title: "Loss curves",
        explanation,
        height: 520,
        data,
        layout: layout(axis("tokens trained on"), y),
    })
}
