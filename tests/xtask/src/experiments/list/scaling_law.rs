//! The scaling law on several held-out sets: section 4.5 of the paper.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Series, Style};
use crate::experiments::program::Program;

const CAMPAIGN: &str = "scaling-law";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train("recipes/cpu/scaling-law.toml", CAMPAIGN)?;
    let fit = program.fit(CAMPAIGN)?;
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let mut text = String::from(
        "| set | C_N | alpha | C_D | beta | L0 | eta | D/N at the largest budget | rmse, nats a byte |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, set) in fit["sets"].as_object().context("no sets")? {
        if let Some(error) = set["error"].as_str() {
            let _ = writeln!(text, "| {name} | {error} |");
            continue;
        }
        let law = &set["parameters"];
        let _ = writeln!(
            text,
            "| {name} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} | {:.4} |",
            number(&law["C_N"]),
            number(&law["alpha"]),
            number(&law["C_D"]),
            number(&law["beta"]),
            number(&law["L0"]),
            number(&set["eta"]),
            number(&set["tokens_per_param"]),
            number(&set["rmse"])
        );
    }
    let law = &fit["parameters"];
    let _ = writeln!(
        text,
        "\nnats a token, mean of the sets: alpha {:.3} {}, beta {:.3} {}, L0 {:.3} {}, rmse {:.4}, held-out error {:.2}%",
        number(&law["alpha"]),
        fit["intervals"]["alpha"],
        number(&law["beta"]),
        fit["intervals"]["beta"],
        number(&law["L0"]),
        fit["intervals"]["L0"],
        number(&fit["rmse"]),
        100.0 * number(&fit["held_out_error"])
    );
    for warning in fit["warnings"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "note: {}", warning["message"].as_str().unwrap_or_default());
    }
    let mut sizes: BTreeMap<u64, (String, Vec<(f64, f64)>)> = BTreeMap::new();
    for point in &points {
        sizes.entry(point.n as u64).or_insert_with(|| (point.size.clone(), Vec::new())).1.push((point.d, point.loss));
    }
    let mut series = Vec::new();
    for (colour, (n, (size, measured))) in sizes.into_iter().enumerate() {
        let predict = |d: f64| {
            number(&law["C_N"]) * (n as f64).powf(-number(&law["alpha"]))
                + number(&law["C_D"]) * d.powf(-number(&law["beta"]))
                + number(&law["L0"])
        };
        let line = measured.iter().map(|(d, _)| (*d, predict(*d))).collect();
        series.push(Series { label: String::new(), points: line, style: Style::Line, colour });
        series.push(Series { label: size, points: measured, style: Style::Dots, colour });
    }
    let chart = Chart {
        title: "Held-out loss, mean of the sets, and the law (lines)".to_owned(),
        x: "D, tokens".to_owned(),
        y: "loss, nats a token".to_owned(),
        log_x: true,
        series,
        ..Chart::default()
    };
    Ok(Findings { text, charts: vec![("scaling-law".to_owned(), chart)] })
}
