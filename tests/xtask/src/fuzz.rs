//! Runs the fuzz targets of `tests/fuzz`, and reports the result of each.
//!
//! Inputs that reach new code stay in `target/fuzz`, where the next run starts from them. Copy an input that crashes to
//! `tests/fuzz/corpus`, where every `cargo test` replays it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::check;

/// The targets: names of functions, binaries and corpus folders.
pub const TARGETS: [&str; 6] = ["dataset", "manifest", "recipe", "shard", "spool", "wire"];

const FUZZER: &str = "tests/fuzz/libfuzzer";
/// An input that takes longer counts as a fault. Normal ones take microseconds to milliseconds.
const LONGEST_SECONDS: u64 = 5;
const MOST_MEMORY_MIB: u64 = 2048;

/// Options of a run.
#[derive(Debug)]
pub struct FuzzOptions {
    /// Time per target.
    pub time: Duration,
    /// Run only these; empty means all.
    pub targets: Vec<String>,
}

/// Figures that the fuzzer prints at the end of a run; `None` where it printed none.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    executions: Option<u64>,
    edges: Option<u64>,
    memory_mib: Option<u64>,
}

/// Runs the targets one after the other, and returns whether none found a fault.
///
/// # Errors
/// Fails if cargo or cargo-fuzz cannot be started, or `target/fuzz` cannot be written.
pub fn run(options: &FuzzOptions) -> Result<bool> {
    let build = check::cargo().args(["fuzz", "build", "--fuzz-dir", FUZZER, "--sanitizer", "none"]).status();
    if !build.context("cannot start cargo")?.success() {
        eprintln!("cargo-fuzz is missing: run `cargo install cargo-fuzz`");
        return Ok(false);
    }
    println!("{:10} {:>12} {:>10} {:>8} {:>10}  outcome", "target", "executions", "a second", "edges", "memory");
    let mut is_sound = true;
    for target in TARGETS
        .iter()
        .filter(|target| options.targets.is_empty() || options.targets.iter().any(|chosen| chosen == *target))
    {
        is_sound &= run_target(target, options.time)?;
    }
    Ok(is_sound)
}

fn run_target(target: &str, time: Duration) -> Result<bool> {
    let seconds = time.as_secs().max(1);
    let place = Path::new("target/fuzz").join(target);
    let (grown, faults, log) = (place.join("corpus"), place.join("faults"), place.join("log"));
    for dir in [&grown, &faults] {
        std::fs::create_dir_all(check::root().join(dir)).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let said = File::create(check::root().join(&log)).with_context(|| format!("cannot write {}", log.display()))?;
    let root = check::root();
    let status = check::cargo()
        .args(["fuzz", "run", "--fuzz-dir", FUZZER, "--sanitizer", "none", target])
        .args([root.join(&grown), root.join("tests/fuzz/corpus").join(target)])
        .args(["--", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={LONGEST_SECONDS}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/", root.join(&faults).display()))
        .stderr(said)
        .status()
        .context("cannot start cargo")?;
    let text = std::fs::read(root.join(&log)).with_context(|| format!("cannot read {}", log.display()))?;
    let Figures { executions, edges, memory_mib } = figures(&String::from_utf8_lossy(&text));
    let shown = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let outcome = if status.success() {
        "no fault".to_owned()
    } else {
        format!("FAULT: see {} and {}", faults.display(), log.display())
    };
    println!(
        "{target:10} {:>12} {:>10} {:>8} {:>6} MiB  {outcome}",
        shown(executions),
        shown(executions.map(|executions| executions / seconds)),
        shown(edges),
        shown(memory_mib),
    );
    Ok(status.success())
}

fn figures(log: &str) -> Figures {
    let after = |line: &str, word: &str| line.split_once(word)?.1.split_whitespace().next()?.parse().ok();
    let last = |word: &str| log.lines().filter_map(|line| after(line, word)).next_back();
    Figures {
        executions: last("stat::number_of_executed_units:"),
        edges: last(" cov: "),
        memory_mib: last("stat::peak_rss_mb:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figures_of_a_log_are_read_and_others_are_not_known() {
        let log = "#2\tINITED cov: 10 ft: 12 corp: 2/5b\n#512\tDONE   cov: 217 ft: 300 corp: 30/2Kb\n\
                   stat::number_of_executed_units: 512\nstat::peak_rss_mb:              29\n";
        let all = Figures { executions: Some(512), edges: Some(217), memory_mib: Some(29) };
        assert_eq!(figures(log), all);
        assert_eq!(figures("no such target"), Figures { executions: None, edges: None, memory_mib: None });
    }

    #[test]
    fn every_target_has_a_folder_and_every_folder_a_target() {
        let folders = std::fs::read_dir(check::root().join("tests/fuzz/corpus")).expect("the corpus is there");
        let mut names: Vec<_> = folders.map(|entry| entry.expect("it can be read").file_name()).collect();
        names.sort();
        assert_eq!(names, TARGETS);
    }
}
