//! Compares fits with scipy's, on the same table and the same draws, in the same run.
//!
//! `cargo bench -p windtunnel-scaling --bench scipy`. Needs a Python with scipy: `PYTHON` names one other than
//! `python3`. The two alternate block by block, so that other load on the machine affects both; the spread is over
//! blocks.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use scaling::bootstrap::{Drawn, draws};
use scaling::{BootstrapOptions, Fit, FitOptions, Objective, Point, ScalingLaw, fit};
use serde_json::{Value, json};

const LAW: ScalingLaw = ScalingLaw { c_n: 406.4, alpha: 0.3392, c_d: 410.7, beta: 0.2849, l0: 1.6934 };
const DELTA: f64 = 1e-3;
const BLOCKS: u64 = 4;
const DRAWS_A_BLOCK: usize = 1000;

/// 240 points: 12 sizes, each a trunk with 20 amounts of data.
fn table() -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mut points = Vec::new();
    for size in 0..12 {
        let (n, luck) = (5e7 * 1.6f64.powi(size), 0.003 * normal());
        for amount in 0..20 {
            let d = 1e9 * 1.3f64.powi(amount);
            let loss = LAW.predict(n, d) * (luck + 0.003 * normal()).exp();
            points.push(Point { size: size.to_string(), n, d, loss, trunk: format!("{size:02}"), ..Point::default() });
        }
    }
    points
}

fn main() {
    // `cargo test --benches` only checks that this runs: do not time anything then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let points = table();
    let options = FitOptions { objective: Objective::Huber { delta: DELTA } };
    let columns = json!({
        "n": points.iter().map(|point| point.n).collect::<Vec<_>>(),
        "d": points.iter().map(|point| point.d).collect::<Vec<_>>(),
        "loss": points.iter().map(|point| point.loss).collect::<Vec<_>>(),
        "delta": DELTA,
    });
    one_fit(folder.path(), &points, &options, &columns);
    let found = fit(&points, &options).expect("fits");
    bootstrap(folder.path(), &points, &options, &found, &columns);
}

fn one_fit(folder: &Path, points: &[Point], options: &FitOptions, columns: &Value) {
    let mut seconds: Vec<f64> = (0..20)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(fit(points, options).expect("fits"));
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let found = fit(points, options).expect("fits");
    // The grid used by replications of approach 3, thinned from 4,500 to 324 starts.
    let mut given = columns.clone();
    given["grid"] = json!({
        "a": [5, 15, 25], "alpha": [0.0, 0.5, 1.0, 2.0], "b": [5, 15, 25], "beta": [0.0, 0.5, 1.0], "e": [-0.5, 0.5, 1.0]
    });
    let theirs = ask(folder, &given);
    let (ours, peer) = (seconds[seconds.len() / 2], number(&theirs["fit_seconds"]));
    println!(
        "one fit of {} points: {:.2} ms from {} starts (of 20 the fastest {:.2}, the slowest {:.2}); scipy {:.2} s from {} \
         starts, {:.1} ms each",
        points.len(),
        1e3 * ours,
        found.starts,
        1e3 * seconds[0],
        1e3 * seconds[seconds.len() - 1],
        peer,
        theirs["starts"],
        1e3 * peer / number(&theirs["starts"])
    );
    println!(
        "  a start {:.0} times faster; objective {:.9e}, scipy {:.9e}",
        peer / number(&theirs["starts"]) / (ours / found.starts as f64),
        found.objective,
        number(&theirs["fit_objective"])
    );
}

fn bootstrap(folder: &Path, points: &[Point], options: &FitOptions, found: &Fit, columns: &Value) {
    let law = found.law;
    let (mut ratios, mut ours_total, mut theirs_total) = (Vec::new(), 0.0, 0.0);
    let (mut worse, mut better, mut count, mut worst) = (0, 0, 0, 0.0_f64);
    for block in 0..BLOCKS {
        let drawing = BootstrapOptions { draws: DRAWS_A_BLOCK, seed: block, ..BootstrapOptions::default() };
        let started = Instant::now();
        let drawn: Vec<Drawn> = draws(points, found, options, &drawing);
        let ours = started.elapsed().as_secs_f64();
        let weights: Vec<Vec<u32>> = drawn
            .iter()
            .map(|draw| {
                points.iter().map(|point| draw.counts[point.trunk.parse::<usize>().expect("a number")]).collect()
            })
            .collect();
        let mut given = columns.clone();
        given["weights"] = json!(weights);
        given["start"] = json!([law.c_n.ln(), law.alpha, law.c_d.ln(), law.beta, law.l0.ln()]);
        let answer = ask(folder, &given);
        // Equal draws are fitted only once here; scipy's time is scaled to as many fits.
        let theirs = number(&answer["draws_seconds"]);
        ratios.push(theirs / ours);
        (ours_total, theirs_total) = (ours_total + ours, theirs_total + theirs);
        for (draw, objective) in drawn.iter().zip(answer["objectives"].as_array().expect("a list")) {
            let off = draw.objective / number(objective) - 1.0;
            worst = worst.max(off);
            worse += usize::from(off > 1e-6);
            better += usize::from(off < -1e-6);
            count += 1;
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "a bootstrap of {count} draws of {} points: {ours_total:.3} s on {} threads; scipy {theirs_total:.1} s on one",
        points.len(),
        rayon::current_num_threads()
    );
    println!(
        "  {:.0} times faster (blocks of {DRAWS_A_BLOCK}: {:.0} to {:.0}); objective lower than scipy's in {better} draws, \
         higher in {worse} by at most {:.1e}, else equal to 1e-6",
        theirs_total / ours_total,
        ratios[0],
        ratios[ratios.len() - 1],
        worst.max(0.0)
    );
}

/// Runs scipy in a process of its own.
fn ask(folder: &Path, given: &Value) -> Value {
    let question = folder.join("question.json");
    std::fs::write(&question, given.to_string()).expect("written");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/approach3.py");
    let said = Command::new(&python).arg(script).arg(&question).output().expect("a Python: name one with PYTHON");
    assert!(said.status.success(), "a Python with scipy is needed: {}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("an answer")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
