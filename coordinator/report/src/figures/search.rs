//! The trials of a search over each of its keys, and the importance of each key.

use super::{
    Axis, Digits, Figure, Fill, Hover, Mark, Marker, Numbers, Panel, Part, Series, Sizes, Symbol, Value, log_axis,
    single, words,
};

/// Panels side by side.
const COLUMNS: usize = 3;

/// Height of a row in pixels.
const ROW: usize = 300;

/// A searched key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    /// How its values are spaced.
    pub spread: Spread,
}

/// How the values of a key are spaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// Linearly.
    Even,
    /// Logarithmically, between two ends.
    Log([f64; 2]),
}

/// A finished trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Counted from 1, in the order trials were suggested.
    pub number: usize,
    /// Its value of each key; not finite if it has none.
    pub values: Vec<f64>,
    /// Held-out loss at its last step, nats a token.
    pub loss: f64,
    /// Whether it was ended early.
    pub early: bool,
    /// How it ended, in a word or two.
    pub state: String,
}

/// The importance of each key; the least important first.
#[must_use]
pub fn importance(parts: Vec<(String, f64)>) -> Figure {
    let x = Axis {
        numbers: Numbers::Percent,
        from_zero: true,
        ..Axis::linear("share in what separates the best fifth of the trials")
    };
    let height = 120 + 36 * parts.len();
    Figure {
        explanation:
            "How much each key separates the best fifth of the trials from all of them (PED-ANOVA). Pruned trials \
                      count by how far they got. Keys that matter only in combination are underrated; with few \
                      trials, small shares are luck."
                .to_owned(),
        marks: vec![Mark::Bars(super::Bars {
            bars: parts,
            colour: "#2a5f92".to_owned(),
            hover: Hover::default().line([Part::Y(Digits::All), words(": "), Part::X(Digits::Percent)]),
        })],
        ..single("importance", "What matters", height, [x, Axis::linear("")])
    }
}

/// The trials that have a loss, over each key; `best` is the number of the best completed trial.
#[must_use]
pub fn slices(keys: &[Key], trials: &[Trial], best: Option<usize>) -> Figure {
    let rows = keys.len().div_ceil(COLUMNS);
    let columns = keys.len().min(COLUMNS);
    let (completed, early): (Vec<&Trial>, Vec<&Trial>) = trials.iter().partition(|trial| !trial.early);
    let best: Vec<&Trial> = trials.iter().filter(|trial| Some(trial.number) == best).collect();
    let kinds = [
        ("pruned", early, "#aeb6c0", Symbol::Ring),
        ("completed", completed, "#2a5f92", Symbol::Circle),
        ("the best", best, "#c2452d", Symbol::Star),
    ];
    let range = range(trials);
    let mut panels = Vec::new();
    let mut marks = Vec::new();
    for (index, Key { name, spread }) in keys.iter().enumerate() {
        let across = match spread {
            Spread::Log([low, high]) => log_axis(name, *low, *high),
            Spread::Even => Axis::linear(name),
        };
        let [bottom, top] = [rows - index / COLUMNS - 1, rows - index / COLUMNS].map(|row| row as f64 / rows as f64);
        panels.push(Panel {
            x: Some(Axis { place: Some(place(index % COLUMNS, columns)), ..across }),
            y: Axis {
                place: Some([bottom, bottom + 0.78 * (top - bottom)]),
                range: Some(range),
                ..Axis::linear(if index % COLUMNS == 0 { "loss, nats a token" } else { "" })
            },
        });
        for (kind, trials, colour, symbol) in &kinds {
            let about = |trial: &&Trial| vec![Value::Words(format!("trial {}, {}", trial.number, trial.state))];
            let size = if *symbol == Symbol::Star { 13.0 } else { 7.0 };
            marks.push(Mark::Series(Series {
                group: Some((*kind).to_owned()),
                in_legend: index == 0,
                panel: index,
                marker: Some(Marker {
                    symbol: *symbol,
                    sizes: Sizes::All(size),
                    fill: Fill::All((*colour).to_owned()),
                    edge: None,
                }),
                hover: Hover::default()
                    .line([Part::Value(0, Digits::All)])
                    .line([words(format!("{name} ")), Part::X(Digits::All)])
                    .line([Part::Y(Digits::Fixed(4)), words(" nats a token")]),
                values: trials.iter().map(about).collect(),
                ..Series::new(*kind, trials.iter().map(|trial| (trial.values[index], trial.loss)))
            }));
        }
    }
    Figure {
        id: "slices",
        title: "The trials over each key",
        explanation: "Loss of each trial over each searched key. Hollow markers are pruned trials, whose losses are higher the \
                      earlier they were pruned. Diverged trials have no loss, and losses far above the rest are beyond the \
                      top."
            .to_owned(),
        height: 60 + ROW * rows,
        panels,
        marks,
        bands: Vec::new(),
    }
}

/// The horizontal extent of a column, with room between columns.
fn place(column: usize, columns: usize) -> [f64; 2] {
    let width = 1.0 / columns as f64;
    let start = column as f64 * width;
    [start + if column == 0 { 0.0 } else { 0.18 * width }, start + width]
}

/// From the lowest loss to the 90th percentile, with some room.
fn range(trials: &[Trial]) -> [f64; 2] {
    let mut losses: Vec<f64> = trials.iter().map(|trial| trial.loss).collect();
    losses.sort_by(f64::total_cmp);
    let low = losses.first().copied().unwrap_or_default();
    let high = losses.get(losses.len() * 9 / 10).copied().unwrap_or(low);
    let room = 0.06 * (high - low).max(1e-3);
    [low - room, high + 2.0 * room]
}
