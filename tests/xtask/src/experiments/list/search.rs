//! The hyper-parameter search: appendix A.3 of the paper.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Series, Style};
use crate::experiments::points::Point;
use crate::experiments::program::Program;

const CAMPAIGN: &str = "search";
/// Searched keys, with the paper's value and whether they are drawn on a logarithmic axis.
const KEYS: [(&str, f64, bool); 4] =
    [("peak_lr", 0.01, true), ("scale_depth", 1.4, false), ("scale_emb", 12.0, false), ("init_std", 0.1, true)];

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train("recipes/cpu/search.toml", CAMPAIGN)?;
    let state = |point: &Point| point.cells.get("state").cloned().unwrap_or_default();
    let mut finished: Vec<&Point> =
        points.iter().filter(|point| state(point) == "completed" && point.loss.is_finite()).collect();
    finished.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    let best = finished.first().context("no trial completed")?;
    let value = |point: &Point, key: &str| point.cells.get(key)?.parse::<f64>().ok();
    let mut text = String::new();
    let ended = |what: &str| points.iter().filter(|point| state(point) == what).count();
    let _ = writeln!(
        text,
        "{} trials: {} completed, {} pruned, {} diverged",
        points.len(),
        finished.len(),
        ended("pruned"),
        ended("diverged")
    );
    let said = |point: &Point| {
        let values: Vec<String> =
            KEYS.iter().filter_map(|(key, ..)| Some(format!("{key} {:.4}", value(point, key)?))).collect();
        values.join(", ")
    };
    for point in finished.iter().take(5) {
        let _ = writeln!(text, "loss {:.4}: {}", point.loss, said(point));
    }
    let tokens: f64 = points.iter().map(|point| value(point, "step").unwrap_or(0.0) * point.batch_tokens).sum();
    let whole = best.d * points.len() as f64;
    let _ = writeln!(
        text,
        "{:.1}M tokens trained; running every trial to its end would have taken {:.1}M: pruning saved {:.0}%",
        tokens / 1e6,
        whole / 1e6,
        100.0 * (1.0 - tokens / whole)
    );
    let charts = KEYS.iter().map(|&(key, paper, log_x)| {
        let at = |points: &[&Point]| points.iter().filter_map(|point| Some((value(point, key)?, point.loss))).collect();
        let low = best.loss;
        // Much higher losses mark a bad setting and would flatten the rest of the chart.
        let near: Vec<&Point> = finished.iter().copied().filter(|point| point.loss < low + 0.6).collect();
        let series = vec![
            Series { label: "completed trials".to_owned(), points: at(&near), style: Style::Dots, colour: 0 },
            Series { label: "the best".to_owned(), points: at(&[*best]), style: Style::Dots, colour: 1 },
            Series {
                label: "the paper's value".to_owned(),
                points: vec![(paper, low), (paper, low + 0.3)],
                style: Style::Line,
                colour: 2,
            },
        ];
        let chart = Chart {
            title: format!("The loss over {key}"),
            x: key.to_owned(),
            y: "loss, nats a token".to_owned(),
            log_x,
            series,
            ..Chart::default()
        };
        (format!("search-{}", key.replace('_', "-")), chart)
    });
    Ok(Findings { charts: charts.collect(), text })
}
