//! `cargo xtask chaos`: trains a campaign on real text while its processes are killed, stopped and told to quit.
//!
//! The same recipe is trained twice: once undisturbed and once under faults drawn from a seed. Both runs must give the
//! same points and the same curves, byte for byte. The report tabulates the faults by kind, how many were recovered
//! from and how quickly, and what was lost.

mod cluster;
mod faults;
mod log;
mod place;
mod storm;
mod table;

use std::time::Duration;

use anyhow::{Context, Result};

use place::Place;

/// Shortest mean time between two process exits. A restarted coordinator gives the attempts in its log two leases; one
/// that never lives that long waits indefinitely for workers that are gone.
const LEAST_BETWEEN: Duration = Duration::from_secs(1);

/// Options of a run.
#[derive(Debug, Clone, Copy)]
pub struct ChaosOptions {
    /// Minimum number of process exits.
    pub kills: u32,
    /// Seed of the faults and their times.
    pub seed: u64,
    /// Number of worker processes.
    pub workers: usize,
    /// Keeps the run's folder, with all logs, even if the run passed.
    pub keep: bool,
}

/// Runs it, and returns whether nothing was lost and no curve differs.
///
/// # Errors
/// Fails if a process cannot be started or a file cannot be written; the run then has no verdict.
pub fn run(options: ChaosOptions) -> Result<bool> {
    let place = Place::new()?;
    eprintln!("chaos: seed {}, in {}", options.seed, place.dir().display());
    let (calm, took) = place.undisturbed()?;
    eprintln!(
        "chaos: undisturbed it takes {:.0} s and gives {} points and {} rows of curves",
        took.as_secs_f64(),
        calm.points.lines().count().saturating_sub(1),
        calm.curves.lines().count().saturating_sub(1),
    );
    // Spreads the kills over the time the campaign would have taken undisturbed; with them it takes longer.
    let between = took.mul_f64(0.9) / options.kills.max(1);
    let mut storm = storm::run(&place, options, between.max(LEAST_BETWEEN))?;
    storm.cluster.ensure_serving()?;
    let stormy = place.results()?;
    // What was added meanwhile is trained undisturbed as well; the rest is there already.
    let calm = if place.is_enlarged() { place.undisturbed()?.0 } else { calm };
    let report = table::Report::new(&storm, &calm, &stormy, options);
    storm.cluster.stop()?;
    drop(storm);
    print!("{report}");
    let passed = report.passed();
    if passed && !options.keep {
        place.remove().context("cannot remove the run's folder")?;
    } else {
        eprintln!("chaos: logs and data are in {}", place.keep().display());
    }
    Ok(passed)
}
