//! Gradients and weights during the decay: section 4.4 of the paper.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Series, Style};
use crate::experiments::program::Program;

const CAMPAIGN: &str = "dynamics";
/// Label of each quantity, its path in a curve point, and whether its magnitude is drawn on a logarithmic axis.
const QUANTITIES: [(&str, &str, bool); 6] = [
    ("gradient norm", "/grad_norm", false),
    ("cosine of consecutive gradients", "/dynamics/consecutive/gradient_cosine", false),
    ("D1, slope along the update", "/dynamics/consecutive/d1", false),
    ("D2", "/dynamics/consecutive/d2", false),
    ("curvature K", "/dynamics/consecutive/curvature", true),
    ("largest update of a weight", "/dynamics/largest_update", true),
];
/// Number of stretches of the run over which medians are taken.
const STRETCHES: usize = 50;

pub(super) fn run(program: &Program) -> Result<Findings> {
    program.train("recipes/cpu/dynamics.toml", CAMPAIGN)?;
    let curves = program.ask(["curves", CAMPAIGN])?;
    let mut steps: Vec<&Value> = curves["stages"]
        .as_array()
        .context("no stages")?
        .iter()
        .filter_map(|stage| stage["points"].as_array())
        .flatten()
        .collect();
    steps.sort_by_key(|point| point["step"].as_u64());
    let stretch = steps.len().div_ceil(STRETCHES).max(1);
    let medians = |path: &str| -> Vec<(f64, f64)> {
        steps
            .chunks(stretch)
            .filter_map(|chunk| {
                let mut values: Vec<f64> = chunk.iter().filter_map(|point| point.pointer(path)?.as_f64()).collect();
                values.sort_by(f64::total_cmp);
                Some((chunk.last()?["step"].as_f64()?, *values.get(values.len() / 2)?))
            })
            .collect()
    };
    let rates = medians("/learning_rate");
    let peak = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let decay = rates.iter().rposition(|(_, rate)| *rate >= 0.999 * peak).context("no step at the peak")?;
    let mut text = String::from(
        "| quantity, median over a stretch | before the decay | middle of the decay | end of the decay |\n|---|---|---|---|\n",
    );
    let _ = writeln!(
        text,
        "| learning rate | {:.2e} | {:.2e} | {:.2e} |",
        rates[decay].1,
        rates[usize::midpoint(decay, rates.len())].1,
        rates[rates.len() - 1].1
    );
    let mut charts = Vec::new();
    for (name, path, log_y) in QUANTITIES {
        let values = medians(path);
        // The first stretch may lack quantities that compare a step with the one before.
        let at = |index: usize| values.get(index.min(values.len().saturating_sub(1))).map_or(f64::NAN, |value| value.1);
        let _ = writeln!(
            text,
            "| {name} | {:.4} | {:.4} | {:.4} |",
            at(decay),
            at(usize::midpoint(decay, rates.len())),
            at(rates.len() - 1)
        );
        let chart = Chart {
            title: format!("{name}, median over {stretch} steps; the decay begins at step {:.0}", rates[decay].0),
            x: "step".to_owned(),
            y: name.to_owned(),
            log_y: log_y && values.iter().all(|value| value.1 > 0.0),
            series: vec![Series {
                label: String::new(),
                points: values,
                style: Style::LineAndDots,
                colour: charts.len(),
            }],
            ..Chart::default()
        };
        let file = path.rsplit('/').next().unwrap_or_default().replace('_', "-");
        charts.push((format!("dynamics-{file}"), chart));
    }
    Ok(Findings { text, charts })
}
