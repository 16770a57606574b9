//! Tokens to a loss over the batch size, a line for each loss and size.

use serde_json::{Value, json};

use super::{Figure, Palette, layout, log_axis, short, span};
use crate::batches::in_words;
use crate::conclusion::Conclusion;
use crate::html::escape;

/// `None` where there is no law of the batch size.
pub(super) fn figure(conclusion: &Conclusion, palette: &Palette) -> Option<Figure> {
    let law = conclusion.batch_law.as_ref()?.as_ref().ok()?;
    let mut data: Vec<Value> = Vec::new();
    for (index, iso) in law.iso_losses.iter().enumerate() {
        let (size, colour) = (escape(&iso.size), palette.colour(iso.n));
        let first = law.iso_losses[..index].iter().all(|other| other.size != iso.size);
        let mut reached = iso.reached.clone();
        reached.sort_by(|a, b| a.batch.total_cmp(&b.batch));
        data.push(json!({
            "type": "scatter", "mode": "lines+markers", "name": size, "legendgroup": size, "showlegend": first,
            "x": reached.iter().map(|one| short(one.batch)).collect::<Value>(),
            "y": reached.iter().map(|one| short(one.tokens)).collect::<Value>(),
            "line": { "color": colour, "width": 1.2 }, "marker": { "size": 5 },
            "hovertemplate": format!("{size}, loss {:.3}<br>batch %{{x:.3s}}<br>%{{y:.3s}} tokens<extra></extra>", iso.loss),
        }));
        if let Some((batch, tokens)) = iso.best() {
            data.push(json!({
                "type": "scatter", "mode": "markers", "legendgroup": size, "showlegend": false,
                "x": [short(batch)], "y": [short(tokens)],
                "marker": { "size": 11, "symbol": "star", "color": colour },
                "hovertemplate": format!("{size}, loss {:.3}<br>best at %{{x:.3s}} tokens a step<extra></extra>", iso.loss),
            }));
        }
    }
    let reached = || law.iso_losses.iter().flat_map(|iso| &iso.reached);
    let (low, high) = span(reached().map(|one| one.batch));
    let (least, most) = span(reached().map(|one| one.tokens));
    Some(Figure {
        id: "batches",
        title: "Tokens to a loss over the batch size",
        explanation: format!(
            "What each batch size needs to bring a size to a loss, a line for each loss. Stars are the lowest points of \
             parabolas through the lines; through the stars goes {}.",
            in_words(law)
        ),
        height: 500,
        data,
        layout: layout(log_axis("tokens a step", low, high), log_axis("tokens to the loss", least, most)),
    })
}
