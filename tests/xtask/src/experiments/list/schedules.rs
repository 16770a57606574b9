//! Cosine against WSD: sections 4.1 to 4.3 of the paper.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::experiments::Findings;
use crate::experiments::chart::{Chart, Series, Style};
use crate::experiments::points::{Point, means};
use crate::experiments::program::Program;

const CAMPAIGN: &str = "schedules";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let points = program.train("recipes/cpu/schedules.toml", CAMPAIGN)?;
    let mut text = String::new();
    let arms = arms(&points);
    // The amounts of data that all arms share.
    let shared: Vec<f64> = loss_by_multiple(&points, "cosine-20n").into_iter().map(|(multiple, _)| multiple).collect();
    let _ = writeln!(
        text,
        "| arm | {} |",
        shared.iter().map(|multiple| format!("{multiple:.0}N")).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(shared.len()));
    for arm in &arms {
        let losses = loss_by_multiple(&points, arm);
        let cell = |multiple: &f64| {
            losses
                .iter()
                .find(|(at, _)| at == multiple)
                .map_or_else(|| "-".to_owned(), |(_, loss)| format!("{loss:.4}"))
        };
        let _ = writeln!(text, "| {arm} | {} |", shared.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    text.push('\n');
    for multiple in &shared {
        let at =
            |arm: &str| loss_by_multiple(&points, arm).into_iter().find(|(at, _)| at == multiple).map(|(_, loss)| loss);
        let cosines = arms.iter().filter(|arm| arm.starts_with("cosine-") && !arm.contains("loop"));
        let best = cosines.filter_map(|arm| Some((arm, at(arm)?))).min_by(|a, b| a.1.total_cmp(&b.1));
        let (best, least) = best.context("a cosine was measured")?;
        let (tenth, fortieth) = (at("wsd-tenth").context("measured")?, at("wsd-fortieth").context("measured")?);
        let _ = writeln!(
            text,
            "at {multiple:.0}N: best cosine {best} {least:.4}; WSD with a decay of a tenth {:+.4}, of a fortieth {:+.4}",
            tenth - least,
            fortieth - least
        );
    }
    let fit = program.fit(CAMPAIGN)?;
    for form in fit["envelope"]["fits"].as_array().context("the envelope has no fits")? {
        let law = &form["law"];
        let number = |key: &str| law[key].as_f64().unwrap_or(f64::NAN);
        let _ = writeln!(
            text,
            "envelope of WSD(D), {}: a {:.4}, b {:.4}, c {:.4}, rmse {:.5}, AIC {:.1}",
            law["form"].as_str().unwrap_or_default(),
            number("a"),
            number("b"),
            number("c"),
            form["rmse"].as_f64().unwrap_or(f64::NAN),
            form["aic"].as_f64().unwrap_or(f64::NAN)
        );
    }
    Ok(Findings { text, charts: vec![("schedules".to_owned(), chart(&points, &arms))] })
}

fn arms(points: &[Point]) -> Vec<String> {
    let mut arms: Vec<String> = Vec::new();
    for point in points {
        if !arms.contains(&point.arm) {
            arms.push(point.arm.clone());
        }
    }
    arms
}

/// Mean loss over seeds, by the amount of data in multiples of N.
fn loss_by_multiple(points: &[Point], arm: &str) -> Vec<(f64, f64)> {
    means(points.iter().filter(|point| point.arm == arm), |point| (point.nominal / point.n).round())
}

fn chart(points: &[Point], arms: &[String]) -> Chart {
    let series = arms.iter().enumerate().map(|(colour, arm)| Series {
        label: arm.clone(),
        points: loss_by_multiple(points, arm),
        style: Style::LineAndDots,
        colour,
    });
    Chart {
        title: "Cosine against WSD: held-out loss, N = 23.7k, mean of two seeds".to_owned(),
        x: "tokens as multiples of N".to_owned(),
        y: "loss, nats a token".to_owned(),
        log_x: true,
        series: series.collect(),
        ..Chart::default()
    }
}
