//! IsoFLOP frontiers of published points (Porian and others, 2024, "Resolving Discrepancies in Compute-Optimal Scaling of
//! Language Models") against the published ones.
//!
//! The tables are read from the folder named by `WINDTUNNEL_PUBLISHED_DATA`; without it the tests say so and pass.
//!
//! What is matched, and how well, as measured over the 15 sets:
//! - the published lines through the published best sizes, weighted and not: to six digits, because both are least squares;
//! - the published exponents from the points, by Akima's spline of log loss over log N: to 0.004 (0.0032 at worst). The
//!   published sizes come with a standard deviation, so something random went into them; that is not done over here;
//! - the same by parabolas through five sizes about the lowest: to 0.035 (0.030 at worst, on the first step of the ladder;
//!   0.021 on the others). These valleys are steeper on the side of too large models, and a parabola is another estimator
//!   there; through all points of a budget it is off by up to 0.08, which is why that is not the default;
//! - the ladder for RefinedWeb, 0.834 to 0.497 in five steps: every step goes the same way under either.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use scaling::isoflop::{IsoOptions, IsoPoint, fit};
use scaling::single::{Form, Observation, SingleOptions};
use scaling::{BootstrapOptions, Through, single};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WINDTUNNEL_PUBLISHED_DATA").map(|folder| PathBuf::from(folder).join("porian"));
    if folder.is_none() {
        eprintln!("skipped: WINDTUNNEL_PUBLISHED_DATA is not set");
    }
    folder
}

/// Rows of a CSV grouped by experiment, which the first six columns name, as maps from the names of the other columns.
fn table(path: &Path) -> BTreeMap<String, Vec<BTreeMap<String, String>>> {
    let text = fs::read_to_string(path).expect("the table is there");
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let mut sets: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for cells in lines {
        let row = header.iter().cloned().zip(cells.clone()).collect();
        sets.entry(cells[..6].join(" ")).or_default().push(row);
    }
    sets
}

fn number(row: &BTreeMap<String, String>, column: &str) -> Option<f64> {
    row[column].parse().ok()
}

/// The exponents of N from the points of each set.
fn exponents(folder: &Path, through: Through) -> BTreeMap<String, f64> {
    let bootstrap = BootstrapOptions { draws: 50, ..BootstrapOptions::default() };
    let options = IsoOptions { through, bootstrap, ..IsoOptions::default() };
    let pairs = table(&folder.join("optimal_pairs.csv"));
    table(&folder.join("isoflop_points.csv"))
        .into_iter()
        .map(|(set, rows)| {
            // Four budgets have no best size in the published table, and are on none of its lines.
            let left_out: Vec<f64> = pairs[&set]
                .iter()
                .filter(|row| number(row, "n_star").is_none())
                .map(|row| number(row, "flops").expect("a budget"))
                .collect();
            let points: Vec<IsoPoint> = rows
                .iter()
                .map(|row| {
                    let [flops, n, d, loss] = ["flops", "n", "t", "loss"].map(|name| number(row, name).expect(name));
                    IsoPoint { flops, n, d, loss }
                })
                .filter(|point| !left_out.contains(&point.flops))
                .collect();
            let found = fit(&points, &options).unwrap_or_else(|error| panic!("{set}: {error}"));
            (set, found.frontier.n.line.exponent)
        })
        .collect()
}

fn published(folder: &Path, kind: &str) -> BTreeMap<String, f64> {
    table(&folder.join("published_fits.csv"))
        .into_iter()
        .filter_map(|(set, rows)| {
            let row = rows.into_iter().find(|row| row["kind"] == kind)?;
            Some((set, number(&row, "n_exponent").expect("an exponent")))
        })
        .collect()
}

const LADDER: [(&str, f64); 5] = [
    ("rw base long kaplan kaplan train", 0.834),
    ("rw base long kaplan standard val", 0.701),
    ("rw base short kaplan standard val", 0.604),
    ("rw base short chinchilla standard val", 0.571),
    ("rw tuned short const standard val", 0.497),
];

#[test]
fn the_published_lines_go_through_the_published_pairs() {
    let Some(folder) = folder() else { return };
    let published = published(&folder, "basic");
    assert_eq!(published.len(), 15);
    for (set, rows) in table(&folder.join("optimal_pairs.csv")) {
        let seen: Vec<Observation> = rows
            .iter()
            .enumerate()
            .filter_map(|(group, row)| Some(Observation { x: number(row, "flops")?, y: number(row, "n_star")?, group }))
            .collect();
        let found = single::fit(&seen, Form::Power, &SingleOptions::default()).expect("ten budgets and more");
        assert!((found.law.b + published[&set]).abs() < 1e-6, "{set}: {} {}", -found.law.b, published[&set]);
    }
}

#[test]
fn splines_give_the_published_exponents() {
    let Some(folder) = folder() else { return };
    let (found, published) = (exponents(&folder, Through::Akima), published(&folder, "basic"));
    for (set, exponent) in &found {
        assert!((exponent - published[set]).abs() < 0.004, "{set}: {exponent} {}", published[set]);
    }
    for (set, exponent) in LADDER {
        assert!((found[set] - exponent).abs() < 0.004, "{set}: {}", found[set]);
    }
}

#[test]
fn parabolas_give_the_same_ladder_more_coarsely() {
    let Some(folder) = folder() else { return };
    let (found, published) = (exponents(&folder, Through::Parabola { nearest: Some(5) }), published(&folder, "basic"));
    for (set, exponent) in &found {
        assert!((exponent - published[set]).abs() < 0.035, "{set}: {exponent} {}", published[set]);
    }
    for steps in LADDER.windows(2) {
        assert!(found[steps[0].0] > found[steps[1].0] + 0.02, "{} to {}", steps[0].0, steps[1].0);
    }
}
