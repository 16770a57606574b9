//! The arms of a comparison: what each ended with, by the amount of data.

use serde_json::{Value, json};

use super::palette::of_index;
use super::{Figure, axis, layout, log_axis, short, span};
use crate::conclusion::Conclusion;
use crate::grid::Labels;
use crate::html::escape;
use crate::points::MeasuredPoint;

/// More lines than this are a carpet.
const MAX_LINES: usize = 60;

/// `None` where the recipe has no arms, or nothing is measured.
pub(super) fn figure(conclusion: &Conclusion) -> Option<Figure> {
    let plan = &conclusion.campaign.plan;
    if conclusion.points.iter().all(|point| point.arm.is_none()) {
        return None;
    }
    let labels = Labels::of(plan);
    let in_order = labels.in_order(plan);
    let data = in_order.iter().take(MAX_LINES).enumerate().map(|(index, label)| {
        let mut points: Vec<&MeasuredPoint> =
            conclusion.points.iter().filter(|point| labels.trial(&point.trial) == Some(label)).collect();
        points.sort_by_key(|point| point.d);
        let colour = of_index(index, in_order.len());
        let fill = |point: &&MeasuredPoint| Value::from(if point.decayed { colour.as_str() } else { "#ffffff" });
        let label = escape(label);
        json!({
            "type": "scatter", "mode": "lines+markers", "name": label,
            "x": points.iter().map(|point| short(point.d as f64)).collect::<Value>(),
            "y": points.iter().map(|point| short(point.loss)).collect::<Value>(),
            "line": { "color": colour, "width": 1.6 },
            "marker": { "size": 7, "color": points.iter().map(fill).collect::<Value>(), "line": { "color": colour, "width": 1.4 } },
            "hovertemplate": format!("{label}<br>%{{x:.3s}} tokens<br>%{{y:.4f}} nats a token<extra></extra>"),
        })
    });
    let (low, high) = span(conclusion.points.iter().map(|point| point.d as f64));
    Some(Figure {
        id: "arms",
        title: "The arms compared",
        explanation:
            "The loss on held-out text at the end of each trial, over the tokens it was trained on, a line for \
                      each arm. Hollow dots are losses at a learning rate that had not come down."
                .to_owned(),
        height: 460,
        data: data.collect(),
        layout: layout(log_axis("tokens trained on", low, high), axis("loss, nats a token")),
    })
}
