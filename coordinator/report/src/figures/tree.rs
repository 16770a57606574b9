//! The stage tree, a lane for each root.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vocabulary::StageKey;
use vocabulary::units::human_count;

use super::{Figure, Palette, axis, layout, short};
use crate::conclusion::Conclusion;
use crate::grid::Labels;
use crate::html::escape;
use crate::points::is_decay;

/// Lanes of more roots than this would be a pixel high.
const MAX_LANES: usize = 120;
/// How far a branch falls below its trunk, in lanes.
const FALL: f64 = 0.45;

pub(super) fn figure(conclusion: &Conclusion, palette: &Palette) -> Figure {
    let plan = &conclusion.campaign.plan;
    let labels = Labels::of(plan);
    let roots: Vec<StageKey> = conclusion.roots();
    let drawn = roots.len().min(MAX_LANES);
    let mut lanes: BTreeMap<StageKey, usize> = roots[..drawn].iter().copied().zip(0..).collect();
    let losses: BTreeMap<StageKey, f64> = conclusion.points.iter().map(|point| (point.stage, point.loss)).collect();
    let mut data: Vec<Value> = Vec::new();
    let mut branches: BTreeMap<Option<StageKey>, i32> = BTreeMap::new();
    for stage in &plan.stages {
        let Some(lane) = stage.parent.and_then(|parent| lanes.get(&parent)).or_else(|| lanes.get(&stage.key)).copied()
        else {
            continue;
        };
        lanes.insert(stage.key, lane);
        let per_step = stage.spec.batch.tokens() as f64;
        let ends = [stage.spec.steps.start as f64 * per_step, stage.spec.steps.end as f64 * per_step].map(short);
        let is_branch = stage.parent.is_some() && is_decay(stage);
        // Branches of several arms leave a trunk at one place, and fall side by side.
        let beside = branches.entry(stage.parent).or_insert(0);
        let fall = if is_branch { FALL / (1.0 + 0.35 * f64::from(*beside)) } else { 0.0 };
        *beside += i32::from(is_branch);
        let height = lane as f64 + fall;
        let colour = palette.run(plan.stages.iter().find(|root| root.key == roots[lane]).unwrap_or(stage));
        let loss = losses.get(&stage.key);
        let mut words = format!(
            "{}, {}<br>steps {} to {}<br>{} tokens, {} operations<br>{}",
            escape(&stage.size),
            if is_branch { "decay" } else { "trunk" },
            stage.spec.steps.start,
            stage.spec.steps.end,
            human_count(stage.spec.tokens().0 as f64),
            stage.spec.flops(),
            stage.key.short()
        );
        words.extend(loss.map(|loss| format!("<br>loss {loss:.4}")));
        let end = json!({
            "size": if is_branch { [0, 8] } else { [0, 5] },
            "color": if loss.is_some() || !is_decay(stage) { colour.as_str() } else { "#ffffff" },
            "line": { "color": colour, "width": 1.4 },
            "opacity": 1,
        });
        data.push(json!({
            "type": "scatter", "mode": "lines+markers", "showlegend": false,
            "x": ends, "y": [lane as f64, height],
            "line": { "color": colour, "width": if is_branch { 1.4 } else { 4.0 } },
            "marker": end, "text": words, "hovertemplate": "%{text}<extra></extra>",
        }));
    }
    let mut y = axis("");
    y["range"] = json!([drawn as f64 - 1.0 + 0.8, -0.5]);
    y["tickvals"] = (0..drawn).map(Value::from).collect();
    y["ticktext"] =
        roots[..drawn].iter().map(|root| Value::from(labels.root(root).map_or_else(String::new, escape))).collect();
    y["showgrid"] = json!(false);
    let cost = plan.cost();
    let saved = 100.0 * (1.0 - cost.flops.0 / cost.flops_unshared.0);
    let rest = match roots.len() - drawn {
        0 => String::new(),
        rest => format!(" {rest} more roots are not drawn."),
    };
    Figure {
        id: "tree",
        title: "The stage tree",
        explanation: format!(
            "What was trained, each stage once. A thick line is a trunk, in pieces; thin ones are decays that branch off \
             where it stood, each to one point, hollow where that is not measured. {} tokens and {} operations in all; \
             trained one by one the points would have taken {} tokens, so sharing saves {saved:.0}% of the operations.{rest}",
            cost.tokens, cost.flops, cost.tokens_unshared
        ),
        height: (110 + drawn * 46).min(110 + 46 * 20).max(110 + drawn * 12),
        data,
        layout: layout(axis("tokens trained on"), y),
    }
}
