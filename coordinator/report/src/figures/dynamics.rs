//! How gradients and weights move, step by step, where a campaign recorded it: panels above one another, over the same
//! steps.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vocabulary::StageKey;

use super::thin::{Thinning, medians};
use super::{Figure, Palette, axis, layout, short};
use crate::campaign::DynamicsPoint;
use crate::conclusion::Conclusion;
use crate::grid::Labels;
use crate::html::escape;

/// A measurement over the steps.
struct Panel {
    title: &'static str,
    is_logarithmic: bool,
    value: fn(&DynamicsPoint) -> Option<f64>,
}

const PANELS: [Panel; 7] = [
    Panel { title: "learning rate", is_logarithmic: false, value: |point| Some(point.learning_rate) },
    Panel { title: "gradient norm", is_logarithmic: true, value: |point| Some(point.grad_norm) },
    Panel {
        title: "cosine of<br>gradients",
        is_logarithmic: false,
        value: |point| Some(point.dynamics.consecutive?.cosine),
    },
    Panel { title: "|D1|", is_logarithmic: true, value: |point| Some(point.dynamics.consecutive?.d1.abs()) },
    Panel { title: "D2", is_logarithmic: false, value: |point| Some(point.dynamics.consecutive?.d2) },
    Panel { title: "curvature", is_logarithmic: true, value: |point| Some(point.dynamics.consecutive?.curvature()) },
    Panel { title: "largest<br>update", is_logarithmic: true, value: |point| Some(point.dynamics.updates.largest()) },
];

/// Pixels of a panel, and of all that is around them.
const PANEL_HEIGHT: usize = 130;
const AROUND: usize = 90;
/// The part of a panel's height that is left free below it.
const FREE: f64 = 0.14;

/// `None` where nothing was recorded.
pub(super) fn figure(conclusion: &Conclusion, palette: &Palette) -> Option<Figure> {
    let campaign = &conclusion.campaign;
    let plan = &campaign.plan;
    let (labels, stages) = (Labels::of(plan), plan.stages_by_key());
    let recorded = || plan.stages.iter().filter_map(|stage| Some((stage, campaign.dynamics.get(&stage.key)?)));
    let longest = recorded().map(|(stage, _)| stage.spec.steps.end).max()?;
    let all = recorded().map(|(_, points)| points.len() as u64).sum();
    let thinning = Thinning::of(longest, all, recorded().count() as u64);

    let mut roots: BTreeMap<StageKey, StageKey> = BTreeMap::new();
    // Steps and values of each panel, by the first stage of their paths.
    let mut lines: BTreeMap<StageKey, [[Vec<Value>; 2]; PANELS.len()]> = BTreeMap::new();
    for stage in &plan.stages {
        let root = stage.parent.and_then(|parent| roots.get(&parent).copied()).unwrap_or(stage.key);
        roots.insert(stage.key, root);
        let Some(points) = campaign.dynamics.get(&stage.key) else { continue };
        for (panel, line) in PANELS.iter().zip(lines.entry(root).or_default()) {
            let values = points.iter().filter_map(|point| Some((point.step, (panel.value)(point)?)));
            for (step, value) in medians(values, thinning) {
                line[0].push(short(step));
                line[1].push(short(value));
            }
            line.iter_mut().for_each(|values| values.push(Value::Null));
        }
    }

    let mut data = Vec::new();
    for root in conclusion.roots() {
        let (Some(lines), Some(label), Some(stage)) = (lines.get(&root), labels.root(&root), stages.get(&root)) else {
            continue;
        };
        let (label, colour) = (escape(label), palette.run(stage));
        for (index, (panel, [steps, values])) in PANELS.iter().zip(lines).enumerate() {
            let name = panel.title.replace("<br>", " ");
            data.push(json!({
                "type": "scatter", "mode": "lines", "name": label, "legendgroup": label, "showlegend": index == 0,
                "x": steps, "y": values, "yaxis": axis_name("y", index), "connectgaps": false,
                "line": { "color": colour, "width": 1.4 },
                "hovertemplate": format!("{label}<br>step %{{x}}<br>{name} %{{y:.3~g}}<extra></extra>"),
            }));
        }
    }
    let mut x = axis("steps");
    x["anchor"] = json!(axis_name("y", PANELS.len() - 1));
    let mut layout = layout(x, Value::Null);
    for (index, panel) in PANELS.iter().enumerate() {
        let mut y = axis(panel.title);
        let top = 1.0 - index as f64 / PANELS.len() as f64;
        y["domain"] = json!([top - (1.0 - FREE) / PANELS.len() as f64, top]);
        y["exponentformat"] = json!("power");
        if panel.is_logarithmic {
            y["type"] = json!("log");
            y["nticks"] = json!(4);
        }
        layout[axis_name("yaxis", index)] = y;
    }
    let mut explanation = "How gradients and weights move from step to step, where it was recorded. The cosine is that of the \
        angle between the gradients of consecutive steps, D1 the slope of the loss along the last update, D2 how fast the \
        slope changes, and the curvature that of the loss along the update. The MiniCPM paper saw gradients shrink and come to \
        agree, the slope fall and the curvature rise as the learning rate decays, as they do near a minimum."
        .to_owned();
    if thinning.stretch > 1 {
        explanation.push_str(&format!(" Lines are medians over up to {} steps.", thinning.stretch));
    }
    let height = PANELS.len() * PANEL_HEIGHT + AROUND;
    Some(Figure { id: "dynamics", title: "Decay dynamics", explanation, height, data, layout })
}

/// plotly counts axes from one, and does not say the one.
fn axis_name(axis: &str, index: usize) -> String {
    if index == 0 { axis.to_owned() } else { format!("{axis}{}", index + 1) }
}
