//! A week in a minute: campaigns on a fleet that is preempted, crashes and is cut off, through the scheduler alone.
//!
//! ```text
//! cargo bench -p windtunnel-scheduler --bench week              # 100, 1,000 and 10,000 workers; 100 stages each
//! cargo bench -p windtunnel-scheduler --bench week -- 1000      # one size
//! ```
//!
//! Time is simulated, and so are workers: nothing waits. What is measured is the scheduler, with the generator of events
//! beside it, whose share is measured by a scheduler that is not called. Figures are in `docs/experiments.md`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; the scheduler does not")]

mod fleet;
mod forest;
mod random;

use std::time::{Duration, Instant};

use fleet::{Fleet, Tally};

/// Stages a worker, over the week.
const STAGES_A_WORKER: usize = 100;

/// The sizes whose growth is shown.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    println!(
        "| workers | stages | events | facts | wall | events/s | us an event | restart, of snapshot | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut costs: Vec<(usize, f64)> = Vec::new();
    for workers in sizes {
        let begin = Instant::now();
        let tally = Fleet::new(workers, workers * STAGES_A_WORKER).run_a_week();
        let wall = begin.elapsed();
        row(workers, &tally, wall);
        costs.push((workers, tally.handling.as_secs_f64() * 1e6 / tally.events as f64));
        eprintln!("{tally:#?}");
    }
    for pair in costs.windows(2) {
        let [(fewer, before), (more, after)] = [pair[0], pair[1]];
        println!("from {fewer} to {more} workers an event costs {:.2} times as much", after / before);
    }
}

fn row(workers: usize, tally: &Tally, wall: Duration) {
    let events = tally.events as f64;
    println!(
        "| {workers} | {} | {:.2}M | {:.2}M | {:.1} s | {:.0}k | {:.2} | {:.2} s | {} MB |",
        tally.stages,
        events / 1e6,
        tally.facts as f64 / 1e6,
        wall.as_secs_f64(),
        events / wall.as_secs_f64() / 1e3,
        tally.handling.as_secs_f64() * 1e6 / events,
        tally.slowest_restart.as_secs_f64(),
        peak_memory_mb().map_or_else(|| "?".to_owned(), |peak| peak.to_string()),
    );
}

/// The most memory this process ever had, where the system says so.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
