//! The optimal batch size: section 3.2 of the paper.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Legend, Series, Style};
use crate::experiments::points::means;
use crate::experiments::program::Program;

const CAMPAIGN: &str = "batch-size";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train("recipes/cpu/batch-size.toml", CAMPAIGN)?;
    let mut text = String::new();
    let mut sizes: BTreeMap<u64, String> = BTreeMap::new();
    for point in &points {
        sizes.insert(point.n as u64, point.size.clone());
    }
    let longest = points.iter().map(|point| point.nominal).fold(0.0, f64::max);
    for size in sizes.values() {
        let at_longest = points.iter().filter(|point| point.size == *size && point.nominal == longest);
        let losses: Vec<String> = means(at_longest, |point| point.batch_tokens)
            .into_iter()
            .map(|(batch, loss)| format!("{batch:.0}: {loss:.4}"))
            .collect();
        let _ = writeln!(text, "{size} at {longest:.0} tokens, loss by batch: {}", losses.join(", "));
    }
    let law = &program.fit(CAMPAIGN)?["batch_law"];
    let mut series = Vec::new();
    if law.is_null() {
        text.push_str("no batch-size law could be fitted\n");
    }
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    for (place, iso) in law["iso_losses"].as_array().into_iter().flatten().enumerate() {
        let colour = sizes.values().position(|size| Some(size.as_str()) == iso["size"].as_str()).unwrap_or(0);
        let first = law["iso_losses"]
            .as_array()
            .is_some_and(|all| all[..place].iter().all(|other| other["size"] != iso["size"]));
        let mut reached: Vec<(f64, f64)> = iso["reached"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| (number(&one["batch"]), number(&one["tokens"])))
            .collect();
        reached.sort_by(|a, b| a.0.total_cmp(&b.0));
        let label = if first { iso["size"].as_str().unwrap_or_default().to_owned() } else { String::new() };
        series.push(Series { label, points: reached, style: Style::Line, colour });
        let valley = &iso["valley"];
        let found = valley["kind"] == "lowest";
        if found {
            let best = (number(&valley["at"]), number(&valley["value"]).exp());
            series.push(Series { label: String::new(), points: vec![best], style: Style::Dots, colour });
        }
        let at = if found {
            format!("{:.0} tokens", number(&valley["at"]))
        } else {
            valley["kind"].as_str().unwrap_or_default().to_owned()
        };
        let _ = writeln!(
            text,
            "{} at loss {:.3}: best batch {at}",
            iso["size"].as_str().unwrap_or_default(),
            number(&iso["loss"])
        );
    }
    if !law.is_null() {
        let _ = writeln!(
            text,
            "batch = {:.4e} / L^{:.3}; intervals: exponent {}, coefficient {}",
            number(&law["c"]),
            number(&law["p"]),
            law["intervals"]["p"],
            law["intervals"]["c"]
        );
    }
    let chart = Chart {
        title: "Tokens to a loss over the batch size; dots are the lowest points of parabolas".to_owned(),
        x: "tokens a step".to_owned(),
        y: "tokens to the loss".to_owned(),
        log_x: true,
        log_y: true,
        legend: Legend::LowerRight,
        series,
    };
    Ok(Findings { text, charts: vec![("batch-size".to_owned(), chart)] })
}
