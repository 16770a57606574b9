//! The best learning rate across widths: section 3.3 of the paper.

use std::fmt::Write;

use anyhow::Result;

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Legend, Series, Style};
use crate::experiments::points::{Point, means};
use crate::experiments::program::Program;

const CAMPAIGN: &str = "learning-rate";
const RECIPE: &str = "recipes/cpu/learning-rate.toml";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train(RECIPE, CAMPAIGN)?;
    let mut text = String::new();
    let mut charts = Vec::new();
    for arm in ["tensor-program", "standard"] {
        let of_arm: Vec<&Point> = points.iter().filter(|point| point.arm == arm).collect();
        let mut sizes: Vec<(u64, &str)> = of_arm.iter().map(|point| (point.n as u64, point.size.as_str())).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut series = Vec::new();
        for (colour, (_, size)) in sizes.into_iter().enumerate() {
            let losses = means(of_arm.iter().filter(|point| point.size == size).copied(), |point| point.peak_lr);
            let listed: Vec<String> = losses.iter().map(|(lr, loss)| format!("{lr}: {loss:.4}")).collect();
            let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(f64::NAN, |best| best.0);
            let _ = writeln!(text, "{arm}, {size}: lowest at {best}; {}", listed.join(", "));
            series.push(Series { label: size.to_owned(), points: losses, style: Style::LineAndDots, colour });
        }
        let chart = Chart {
            title: format!("Held-out loss over the peak learning rate, {arm} parametrization"),
            x: "peak learning rate".to_owned(),
            y: "loss, nats a token".to_owned(),
            log_x: true,
            legend: Legend::UpperMiddle,
            series,
            ..Chart::default()
        };
        charts.push((format!("learning-rate-{arm}"), chart));
    }
    text.push_str("\nThe table of the campaign has the lowest points of parabolas:\n");
    program.say(["fit", CAMPAIGN])?;
    Ok(Findings { text, charts })
}
