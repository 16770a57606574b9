//! Reads `points.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// A row of `points.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) size: String,
    pub(super) n: f64,
    pub(super) d: f64,
    /// Held-out loss, in nats per token.
    pub(super) loss: f64,
    pub(super) seed: u64,
    pub(super) peak_lr: f64,
    pub(super) nominal: f64,
    pub(super) batch_tokens: f64,
    pub(super) arm: String,
    /// All cells by column name.
    pub(super) cells: BTreeMap<String, String>,
}

pub(super) fn read(path: &Path) -> Result<Vec<Point>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    reader.deserialize().map(|row| point(row?)).collect()
}

fn point(cells: BTreeMap<String, String>) -> Result<Point> {
    let cell = |name: &str| cells.get(name).with_context(|| format!("points.csv has no column {name}"));
    let number = |name: &str| cell(name)?.parse::<f64>().with_context(|| format!("column {name}"));
    Ok(Point {
        size: cell("size")?.clone(),
        n: number("n")?,
        d: number("d")?,
        loss: number("loss")?,
        seed: cell("seed")?.parse().context("column seed")?,
        peak_lr: number("peak_lr")?,
        nominal: number("nominal_tokens")?,
        batch_tokens: number("batch_tokens")?,
        arm: cell("arm")?.clone(),
        cells,
    })
}

/// Mean loss by some quantity, ascending, over the points that pass a filter; usually the mean over seeds.
pub(super) fn means<'a>(
    points: impl IntoIterator<Item = &'a Point>,
    quantity: impl Fn(&Point) -> f64,
) -> Vec<(f64, f64)> {
    // Keyed by bits: positive floats sort like their bits.
    let mut groups: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in points {
        groups.entry(quantity(point).to_bits()).or_default().push(point.loss);
    }
    let mean = |losses: Vec<f64>| losses.iter().sum::<f64>() / losses.len() as f64;
    groups.into_iter().map(|(value, losses)| (f64::from_bits(value), mean(losses))).collect()
}
