//! `cargo xtask chaos`: a campaign on real text while processes are killed, stopped and told to go, over and over.
//!
//! The same recipe is trained twice: once left alone, and once under faults drawn from a seed. Both have to give the
//! same points and the same curves, byte for byte. What is printed is a table of the faults by kind, how many were
//! recovered from and how fast, and what was lost.

mod cluster;
mod faults;
mod log;
mod place;
mod storm;
mod table;

use std::time::Duration;

use anyhow::{Context, Result};

use place::Place;

/// The shortest mean time between two ends of processes. A coordinator that comes back gives the attempts of its log two
/// leases; one that never lives as long waits for ever for workers that are gone.
const LEAST_BETWEEN: Duration = Duration::from_secs(1);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct ChaosOptions {
    /// Ends of processes in one run, at least.
    pub kills: u32,
    /// What the faults and the moments are drawn from.
    pub seed: u64,
    /// Worker processes.
    pub workers: usize,
    /// Whether the folder stays, with all logs, after a run that passed too.
    pub keep: bool,
}

/// Runs it; whether nothing was lost and no curve differs.
///
/// # Errors
/// Where a process cannot be started or a file cannot be written: nothing is known then.
pub fn run(options: ChaosOptions) -> Result<bool> {
    let place = Place::new()?;
    eprintln!("chaos: seed {}, in {}", options.seed, place.dir().display());
    let (calm, took) = place.undisturbed()?;
    eprintln!(
        "chaos: left alone it takes {:.0} s and gives {} points and {} rows of curves",
        took.as_secs_f64(),
        calm.points.lines().count().saturating_sub(1),
        calm.curves.lines().count().saturating_sub(1),
    );
    // So that the kills fill the time that the campaign would have taken, which it takes longer than with them.
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
        place.remove().context("cannot remove the folder of the run")?;
    } else {
        eprintln!("chaos: what it left is in {}", place.keep().display());
    }
    Ok(passed)
}
