//! Tokens needed to reach a loss, over the batch size: one line per loss and model size.

use scaling::batch::BatchFit;

use super::{
    Digits, Figure, Fill, Hover, Line, Mark, Marker, Palette, Part, Series, Sizes, Symbol, log_axis, single, span,
    words,
};
use crate::words::batch_law;

/// The batch-size law and the runs it was fitted to.
#[must_use]
pub fn batches(law: &BatchFit, palette: &Palette) -> Figure {
    let mut marks: Vec<Mark> = Vec::new();
    for (index, iso) in law.iso_losses.iter().enumerate() {
        let (size, colour) = (&iso.size, palette.colour(iso.n));
        let title = format!("{size}, loss {:.3}", iso.loss);
        let mut reached = iso.reached.clone();
        reached.sort_by(|a, b| a.batch.total_cmp(&b.batch));
        marks.push(Mark::Series(Series {
            group: Some(size.clone()),
            in_legend: law.iso_losses[..index].iter().all(|other| other.size != iso.size),
            line: Some(Line::solid(&colour, 1.2)),
            marker: Some(Marker::disc(&colour, 5.0)),
            hover: Hover::titled(&title)
                .line([words("batch "), Part::X(Digits::Suffix)])
                .line([Part::Y(Digits::Suffix), words(" tokens")]),
            ..Series::new(size, reached.iter().map(|one| (one.batch, one.tokens)))
        }));
        if let Some((batch, tokens)) = iso.best() {
            marks.push(Mark::Series(Series {
                group: Some(size.clone()),
                marker: Some(Marker {
                    symbol: Symbol::Star,
                    sizes: Sizes::All(11.0),
                    fill: Fill::All(colour),
                    edge: None,
                }),
                hover: Hover::titled(title).line([words("best at "), Part::X(Digits::Suffix), words(" tokens a step")]),
                ..Series::new("", [(batch, tokens)])
            }));
        }
    }
    let reached = || law.iso_losses.iter().flat_map(|iso| &iso.reached);
    let (low, high) = span(reached().map(|one| one.batch));
    let (least, most) = span(reached().map(|one| one.tokens));
    let axes = [log_axis("tokens a step", low, high), log_axis("tokens to the loss", least, most)];
    Figure {
        explanation: format!(
            "Tokens each batch size needs to bring a model to a loss, one line per loss. Stars mark the minima of parabolas \
             through the lines; the law through the stars is {}.",
            batch_law(law)
        ),
        marks,
        ..single("batches", "Tokens to a loss over the batch size", 500, axes)
    }
}
