//! A week in a minute: campaigns on a fleet that is preempted, crashes and is cut off, through the scheduler alone.
//!
//! ```text
//! cargo bench -p windtunnel-scheduler --bench week              # 100, 1,000 and 10,000 workers; 100 stages each
//! cargo bench -p windtunnel-scheduler --bench week -- 1000      # one size
//! ```
//!
//! Time and workers are simulated, so nothing waits. The measure is this thread's CPU time, so that other load on the
//! machine matters less; it includes making the events. Figures are in `docs/experiments.md`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; the scheduler does not")]

mod fleet;
mod forest;
mod random;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fleet::{Fleet, Tally};

/// Stages per worker, over the week.
const STAGES_A_WORKER: usize = 100;

/// Fleet sizes to compare.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    println!("| workers | stages | events | facts | wall | CPU | us an event | slowest restart | peak memory |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut costs: Vec<(usize, f64)> = Vec::new();
    for workers in sizes {
        let fleet = Fleet::new(workers, workers * STAGES_A_WORKER);
        let (begin, begin_cpu) = (Instant::now(), cpu_time());
        let tally = fleet.run_a_week();
        let cpu = cpu_time() - begin_cpu;
        row(workers, &tally, begin.elapsed(), cpu);
        costs.push((workers, cpu.as_secs_f64() / tally.events as f64));
        eprintln!("{tally:#?}");
    }
    for pair in costs.windows(2) {
        let [(fewer, before), (more, after)] = [pair[0], pair[1]];
        println!("from {fewer} to {more} workers an event costs {:.2} times as much", after / before);
    }
}

fn row(workers: usize, tally: &Tally, wall: Duration, cpu: Duration) {
    let events = tally.events as f64;
    println!(
        "| {workers} | {} | {:.2}M | {:.2}M | {:.1} s | {:.1} s | {:.2} | {:.2} s | {} MB |",
        tally.stages,
        events / 1e6,
        tally.facts as f64 / 1e6,
        wall.as_secs_f64(),
        cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / events,
        tally.slowest_restart.as_secs_f64(),
        peak_memory_mb().map_or_else(|| "?".to_owned(), |peak| peak.to_string()),
    );
}

/// CPU time of this thread, or the time since some moment if the system does not report it.
pub(crate) fn cpu_time() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

/// Peak memory of this process, in MiB, if the system reports it.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
