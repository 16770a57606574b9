//! Two-stage pre-training: section 5 of the paper.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Series, Style};
use crate::experiments::points::Point;
use crate::experiments::program::Program;

const CAMPAIGN: &str = "two-stage";
const ENDING: &str = "_loss_per_byte";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train("recipes/cpu/two-stage.toml", CAMPAIGN)?;
    let first = points.first().context("no points")?;
    let sets: Vec<String> = first.cells.keys().filter_map(|key| key.strip_suffix(ENDING)).map(str::to_owned).collect();
    let mut arms: Vec<&str> = Vec::new();
    let mut models: Vec<(&str, u64)> = Vec::new();
    for point in &points {
        if !arms.contains(&point.arm.as_str()) {
            arms.push(&point.arm);
        }
        let model = (point.size.as_str(), (point.nominal / point.n).round() as u64);
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let mean = |arm: &str, (size, multiple): (&str, u64), set: &str| {
        let chosen = |point: &&Point| {
            point.arm == arm && point.size == size && (point.nominal / point.n).round() as u64 == multiple
        };
        let losses: Vec<f64> = points
            .iter()
            .filter(chosen)
            .filter_map(|point| point.cells.get(&format!("{set}{ENDING}"))?.parse().ok())
            .collect();
        losses.iter().sum::<f64>() / losses.len() as f64
    };
    let mut text = format!("| size, tokens | arm | {} |\n|---|---|{}\n", sets.join(" | "), "---|".repeat(sets.len()));
    for &model in &models {
        for arm in &arms {
            let cells: Vec<String> = sets.iter().map(|set| format!("{:.4}", mean(arm, model, set))).collect();
            let _ = writeln!(text, "| {}, {}N | {arm} | {} |", model.0, model.1, cells.join(" | "));
        }
    }
    text.push_str("\nnats a byte on held-out text of each domain, mean of the seeds\n");
    let largest = *models.last().context("no models")?;
    let series = arms.iter().enumerate().map(|(colour, arm)| Series {
        label: (*arm).to_owned(),
        points: sets.iter().enumerate().map(|(place, set)| (place as f64, mean(arm, largest, set))).collect(),
        style: Style::LineAndDots,
        colour,
    });
    let chart = Chart {
        title: format!("Loss by held-out set ({}), {} at {}N", sets.join(", "), largest.0, largest.1),
        x: "set, in that order".to_owned(),
        y: "loss, nats a byte".to_owned(),
        series: series.collect(),
        ..Chart::default()
    };
    Ok(Findings { text, charts: vec![("two-stage".to_owned(), chart)] })
}
