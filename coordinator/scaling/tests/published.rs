//! Fits of published loss tables, compared with the published optima and with an independent optimiser.
//!
//! The tables are read from the folder named by `WINDTUNNEL_PUBLISHED_DATA`; without it the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use scaling::{FitOptions, Objective, Point, ScalingLaw, fit};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WINDTUNNEL_PUBLISHED_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: WINDTUNNEL_PUBLISHED_DATA is not set");
    }
    folder
}

fn point(n: f64, d: f64, loss: f64) -> Point {
    Point { size: n.to_string(), n, d, loss, trunk: n.to_string(), ..Point::default() }
}

fn gemstones(folder: &Path, set: &str) -> Vec<Point> {
    let path = folder.join(format!("gemstones/wandb_df_for_fitting_{set}.jsonl"));
    let text = fs::read_to_string(path).expect("the table is there");
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("a JSON object");
            let number = |key: &str| row[key].as_f64().expect(key);
            point(number("params_active_precise"), number("tokens"), number("final_loss"))
        })
        .collect()
}

/// Rows of a CSV without quoted commas, by three column names; rows with an empty cell are left out.
fn csv(path: &Path, columns: [&str; 3], keep: impl Fn(&[&str]) -> bool) -> Vec<Point> {
    let text = fs::read_to_string(path).expect("the table is there");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let [n, d, loss] = columns.map(|name| header.iter().position(|column| *column == name).expect(name));
    lines
        .filter(|cells| keep(cells))
        .filter_map(|cells| Some(point(cells[n].parse().ok()?, cells[d].parse().ok()?, cells[loss].parse().ok()?)))
        .collect()
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Fits a set and compares it with its entry in `reference_fits.json`, and with the objective its authors published.
fn check(folder: &Path, name: &str, points: &[Point], published: Option<f64>) {
    let all = json(&folder.join("reference_fits.json"));
    let reference = &all[name];
    let number = |key: &str| reference[key].as_f64().unwrap_or_else(|| panic!("{name} has {key}"));
    assert_eq!(points.len() as f64, number("n"), "{name}: rows");
    let options = FitOptions { objective: Objective::Huber { delta: number("delta") } };
    let found = fit(points, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
    let target = number("obj").min(published.unwrap_or(f64::INFINITY));
    assert!(found.objective <= target * (1.0 + 1e-6), "{name}: objective {} against {target}", found.objective);
    let law = found.law;
    for (what, got, want) in
        [("alpha", law.alpha, number("alpha")), ("beta", law.beta, number("beta")), ("E", law.l0, number("E"))]
    {
        assert!(
            (got - want).abs() <= 1e-3,
            "{name}: {what} {got} against {want}, objective {} {target}",
            found.objective
        );
    }
    for (what, got, want) in [("A", law.c_n, number("A")), ("B", law.c_d, number("B"))] {
        assert!((got / want - 1.0).abs() <= 0.02, "{name}: {what} {got} against {want}");
    }
    let theirs = ScalingLaw {
        c_n: number("A"),
        alpha: number("alpha"),
        c_d: number("B"),
        beta: number("beta"),
        l0: number("E"),
    };
    let apart = |p: &Point| (law.predict(p.n, p.d).ln() - theirs.predict(p.n, p.d).ln()).abs();
    let farthest = points.iter().map(apart).fold(0.0, f64::max);
    assert!(farthest <= 1e-4, "{name}: predictions differ by {farthest}");
    assert!(found.at_bounds.is_empty(), "{name}: {:?}", found.at_bounds);
    eprintln!(
        "{name}: {} points, objective {:.6e} (reference {:.6e}, published {}), alpha {:.4} beta {:.4} E {:.4} A {:.1} B \
         {:.0}, {} of {} starts agree",
        points.len(),
        found.objective,
        number("obj"),
        published.map_or("none".to_owned(), |objective| format!("{objective:.6e}")),
        law.alpha,
        law.beta,
        law.l0,
        law.c_n,
        law.c_d,
        found.starts_agreeing,
        found.starts
    );
}

#[test]
fn gemstones_at_both_thresholds() {
    let Some(folder) = folder() else { return };
    let sets = [
        "cool_begin",
        "cool_end",
        "hot",
        "hot_100b+",
        "hot_120b+_only",
        "hot_sampled_like_chinchilla",
        "lr_ablation_hot",
        "slim_chinchilla",
    ];
    for set in sets {
        let points = gemstones(&folder, set);
        for threshold in ["3", "4"] {
            // Reached by the authors' optimiser, a grid of starts and L-BFGS.
            let theirs = json(&folder.join(format!("gemstones/published/delta-{threshold}/{set}.json")));
            let published = theirs["loss"]["0"].as_f64().expect("an objective");
            check(&folder, &format!("gemstones_{set}_d{threshold}"), &points, Some(published));
        }
    }
}

#[test]
fn chinchilla_as_read_off_its_figure() {
    let Some(folder) = folder() else { return };
    check(&folder, "kyo", &csv(&folder.join("kyo-takano-chinchilla/df.csv"), ["N", "D", "loss"], |_| true), None);
}

#[test]
fn over_trained_models_on_three_texts() {
    let Some(folder) = folder() else { return };
    for text in ["c4_original", "rpj", "rw_original"] {
        let columns = ["params", "tokens", "loss_c4_val"];
        let points = csv(&folder.join("gadre/gadre_models.csv"), columns, |cells| cells[1] == text);
        check(&folder, &format!("gadre_{text}"), &points, None);
    }
}

#[test]
fn a_law_of_losses_before_the_decay_puts_l0_too_high() {
    let Some(folder) = folder() else { return };
    let l0 = |set| fit(&gemstones(&folder, set), &FitOptions::default()).expect("fits").law.l0;
    let gap = l0("cool_begin") - l0("cool_end");
    assert!((gap - 0.10).abs() < 0.005, "{gap}");
}
