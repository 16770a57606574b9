//! The loss over the peak learning rate, where a campaign tries several.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::palette::of_index;
use super::{Figure, axis, layout, log_axis, short, span};
use crate::conclusion::Conclusion;
use crate::html::escape;
use crate::optimum_lr::{OptimumLr, optima};

/// `None` where there are fewer than three learning rates of one model, and of a search, whose trials differ in more than
/// the rate.
pub(super) fn figure(conclusion: &Conclusion) -> Option<Figure> {
    if conclusion.campaign.plan.search.is_some() {
        return None;
    }
    let found = optima(&conclusion.points);
    if found.is_empty() {
        return None;
    }
    let mut data: Vec<Value> = Vec::new();
    let mut drawn: BTreeMap<&str, usize> = BTreeMap::new();
    for OptimumLr { arm, .. } in &found {
        let next = drawn.len();
        drawn.entry(arm.as_deref().unwrap_or_default()).or_insert(next);
    }
    for (index, OptimumLr { arm, size, losses, best, .. }) in found.iter().enumerate() {
        let arm = arm.as_deref().unwrap_or_default();
        let colour = of_index(index, found.len());
        let label = escape(format!("{arm} {size}").trim());
        let dash = ["solid", "dot", "dash", "dashdot"][drawn[arm] % 4];
        data.push(json!({
            "type": "scatter", "mode": "lines+markers", "name": label, "legendgroup": label,
            "x": losses.iter().map(|(lr, _)| short(*lr)).collect::<Value>(),
            "y": losses.iter().map(|(_, loss)| short(*loss)).collect::<Value>(),
            "line": { "color": colour, "width": 1.6, "dash": dash }, "marker": { "size": 6 },
            "hovertemplate": format!("{label}<br>peak LR %{{x}}<br>%{{y:.4f}} nats a token<extra></extra>"),
        }));
        data.push(json!({
            "type": "scatter", "mode": "markers", "showlegend": false, "legendgroup": label,
            "x": best.iter().map(|(lr, _)| short(*lr)).collect::<Value>(),
            "y": best.iter().map(|(_, loss)| short(*loss)).collect::<Value>(),
            "marker": { "size": 11, "symbol": "star", "color": colour },
            "hovertemplate": format!("{label}<br>lowest at %{{x:.3~g}}<extra></extra>"),
        }));
    }
    let (low, high) = span(found.iter().flat_map(|optimum| optimum.losses.iter().map(|(lr, _)| *lr)));
    Some(Figure {
        id: "peak-lr",
        title: "Loss over the peak learning rate",
        explanation: "The mean over seeds of the loss on held-out text, at the largest amount of data of each size. A star is \
                      the lowest point of the parabola through the lowest loss and its two neighbours, over the logarithm of \
                      the learning rate; there is none where the lowest loss is that of the first or the last learning rate."
            .to_owned(),
        height: 460,
        data,
        layout: layout(log_axis("peak learning rate", low / 1.15, high * 1.15), axis("loss, nats a token")),
    })
}
