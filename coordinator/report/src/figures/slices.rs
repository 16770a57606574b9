//! The trials of a search over each of its keys, and the part each key has.

use serde_json::{Value, json};
use vocabulary::search::{Scale, Values};

use super::{Figure, axis, layout, log_axis, short, shorts};
use crate::conclusion::Conclusion;
use crate::search::{Searched, Tried};

/// Beside one another.
const COLUMNS: usize = 3;

/// Pixels of a row.
const ROW: usize = 300;

/// A figure for each of the two, where the campaign is a search that has something to show.
pub(super) fn figures(conclusion: &Conclusion) -> Vec<Figure> {
    let Some(searched) = Searched::of(&conclusion.campaign) else { return Vec::new() };
    if searched.trials.iter().all(|trial| trial.loss.is_none()) {
        return Vec::new();
    }
    importance(&searched).into_iter().chain([slices(&searched)]).collect()
}

fn importance(searched: &Searched<'_>) -> Option<Figure> {
    let mut parts = searched.importance()?;
    parts.reverse();
    let names: Vec<&str> = parts.iter().map(|(parameter, _)| parameter.name()).collect();
    let data = json!({
        "type": "bar", "orientation": "h",
        "x": shorts(parts.iter().map(|(_, part)| *part)), "y": names,
        "marker": { "color": "#2a5f92" },
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    });
    let mut parts_axis = axis("part in what tells the best fifth of the trials from all");
    parts_axis["tickformat"] = json!(".0%");
    parts_axis["rangemode"] = json!("tozero");
    Some(Figure {
        id: "importance",
        title: "What matters",
        explanation:
            "How much each key tells the best fifth of the trials from all of them (PED-ANOVA). Trials that were \
                      ended early take part by how far they came. Keys that matter only together with others are \
                      underrated; with few trials, small parts are luck."
                .to_owned(),
        height: 120 + 36 * names.len(),
        data: vec![data],
        layout: layout(parts_axis, axis("")),
    })
}

fn slices(searched: &Searched<'_>) -> Figure {
    let rows = searched.space.len().div_ceil(COLUMNS);
    let columns = searched.space.len().min(COLUMNS);
    let (completed, early): (Vec<&Tried<'_>>, Vec<&Tried<'_>>) =
        searched.trials.iter().filter(|trial| trial.loss.is_some()).partition(|trial| trial.early.is_none());
    let kinds = [("ended early", early, "#aeb6c0", "circle-open"), ("to the end", completed, "#2a5f92", "circle")];
    let best: Vec<&Tried<'_>> = searched.best().into_iter().collect();
    let kinds = kinds.into_iter().chain([("the best", best, "#c2452d", "star")]);

    let mut layout = layout(Value::Null, Value::Null);
    let mut data = Vec::new();
    for (index, dimension) in searched.space.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { (index + 1).to_string() };
        let name = dimension.parameter.name();
        let mut across = match &dimension.values {
            Values::Between { low, high, scale: Scale::Log } => log_axis(name, *low, *high),
            _ => axis(name),
        };
        across["domain"] = domain(index % COLUMNS, columns);
        across["anchor"] = json!(format!("y{suffix}"));
        let mut up = axis(if index % COLUMNS == 0 { "loss, nats a token" } else { "" });
        let [bottom, top] = [rows - index / COLUMNS - 1, rows - index / COLUMNS].map(|row| row as f64 / rows as f64);
        up["domain"] = json!([bottom, bottom + 0.78 * (top - bottom)]);
        up["anchor"] = json!(format!("x{suffix}"));
        up["range"] = range(searched);
        layout[format!("xaxis{suffix}")] = across;
        layout[format!("yaxis{suffix}")] = up;
        for (kind, trials, colour, symbol) in kinds.clone() {
            let value = |trial: &&Tried<'_>| trial.settings.get(&dimension.parameter).copied().unwrap_or(f64::NAN);
            let about = |trial: &&Tried<'_>| format!("trial {}, {}", trial.number, trial.state());
            data.push(json!({
                "type": "scatter", "mode": "markers", "name": kind, "legendgroup": kind, "showlegend": index == 0,
                "xaxis": format!("x{suffix}"), "yaxis": format!("y{suffix}"),
                "x": shorts(trials.iter().map(value)),
                "y": trials.iter().map(|trial| short(trial.loss.unwrap_or(f64::NAN))).collect::<Value>(),
                "text": trials.iter().map(about).collect::<Value>(),
                "marker": { "color": colour, "symbol": symbol, "size": if symbol == "star" { 13 } else { 7 } },
                "hovertemplate": format!("%{{text}}<br>{name} %{{x}}<br>%{{y:.4f}} nats a token<extra></extra>"),
            }));
        }
    }
    Figure {
        id: "slices",
        title: "The trials over each key",
        explanation: "Each trial by what it was given and what it came to: the loss at its end, or, hollow, where it was \
                      ended early, which is higher the earlier that was. Trials that diverged have none, and losses far \
                      above the others' are beyond the top."
            .to_owned(),
        height: 60 + ROW * rows,
        data,
        layout,
    }
}

/// The stretch of a column, with room between columns.
fn domain(column: usize, columns: usize) -> Value {
    let width = 1.0 / columns as f64;
    let start = column as f64 * width;
    json!([start + if column == 0 { 0.0 } else { 0.18 * width }, start + width])
}

/// From the least loss to what nine of ten trials are below, with some room.
fn range(searched: &Searched<'_>) -> Value {
    let mut losses: Vec<f64> = searched.trials.iter().filter_map(|trial| trial.loss).collect();
    losses.sort_by(f64::total_cmp);
    let low = losses.first().copied().unwrap_or_default();
    let high = losses.get(losses.len() * 9 / 10).copied().unwrap_or(low);
    let room = 0.06 * (high - low).max(1e-3);
    json!([low - room, high + 2.0 * room])
}
