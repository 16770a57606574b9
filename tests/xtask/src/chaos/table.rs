//! The report printed at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::ChaosOptions;
use super::faults::Fault;
use super::log::LogLine;
use super::place::Results;
use super::storm::{Injected, Storm};

/// Counts for one kind of fault.
#[derive(Debug, Default)]
struct Row {
    injected: usize,
    /// Faults that interrupted work: the worker held a stage, or the coordinator's campaign was still running.
    interrupted: usize,
    /// Recovery times of those, where observed, ascending.
    times: Vec<Duration>,
}

/// The verdict of a run and its figures.
#[derive(Debug)]
pub(super) struct Report {
    rows: BTreeMap<Fault, Row>,
    options: ChaosOptions,
    kills: u32,
    took: Duration,
    attempts: usize,
    stages: usize,
    steps: usize,
    steps_repeated: u64,
    results_lost: usize,
    curves_differing: usize,
    points_differ: bool,
    stages_undone: u32,
    wrong_ends: Vec<String>,
}

impl Report {
    pub(super) fn new(storm: &Storm<'_>, calm: &Results, stormy: &Results, options: ChaosOptions) -> Self {
        let said = storm.cluster.log.lock();
        let mut rows: BTreeMap<Fault, Row> = BTreeMap::new();
        for injected in storm.injected.iter().filter(|injected| !injected.fizzled) {
            let row = rows.entry(injected.fault).or_default();
            row.injected += 1;
            row.interrupted += usize::from(interrupted(injected, &said));
            row.times.extend(recovery_time(injected, &said));
        }
        for row in rows.values_mut() {
            row.times.sort_unstable();
        }
        let attempts = said.iter().filter_map(|(_, said)| match said {
            LogLine::Assigned { stage, attempt, .. } => Some((stage, attempt)),
            _ => None,
        });
        let cut =
            said.iter().filter_map(|(_, said)| if let LogLine::Cut { points } = said { Some(points) } else { None });
        let (calm_curves, stormy_curves) = (by_stage(&calm.curves), by_stage(&stormy.curves));
        let differing = calm_curves.iter().filter(|(stage, rows)| stormy_curves.get(*stage) != Some(rows));
        let more = stormy_curves.keys().filter(|stage| !calm_curves.contains_key(*stage));
        let stormy_points: BTreeSet<&str> = stormy.points.lines().collect();
        Self {
            options,
            kills: storm.kills(),
            took: storm.took,
            attempts: attempts.collect::<BTreeSet<_>>().len(),
            stages: calm_curves.len(),
            steps: calm.curves.lines().count().saturating_sub(1),
            steps_repeated: cut.sum(),
            results_lost: calm.points.lines().filter(|row| !stormy_points.contains(row)).count(),
            curves_differing: differing.count() + more.count(),
            points_differ: calm.points != stormy.points,
            stages_undone: storm.stages_undone,
            wrong_ends: storm.wrong_ends.clone(),
            rows,
        }
    }

    /// Whether the run met every requirement.
    pub(super) fn passed(&self) -> bool {
        self.kills >= self.options.kills
            && self.results_lost == 0
            && self.curves_differing == 0
            && !self.points_differ
            && self.stages_undone == 0
            && self.wrong_ends.is_empty()
    }
}

/// Whether a fault interrupted work.
fn interrupted(injected: &Injected, said: &[(Instant, LogLine)]) -> bool {
    let is_later = |(when, said): &(Instant, LogLine)| {
        *when > injected.at && matches!(said, LogLine::Committed { .. } | LogLine::Trained { .. })
    };
    if injected.fault.is_of_coordinator() { said.iter().any(is_later) } else { injected.held.is_some() }
}

/// Time until the interrupted work resumed; `None` if nothing was interrupted or the recovery was not observed.
fn recovery_time(injected: &Injected, said: &[(Instant, LogLine)]) -> Option<Duration> {
    let Injected { fault, at, back, held, .. } = injected;
    let since = |from: Instant| said.iter().skip_while(move |(when, _)| *when < from);
    let end = if fault.is_of_coordinator() {
        // Anything that becomes durable again.
        since(*back).find(|(_, said)| matches!(said, LogLine::Committed { .. } | LogLine::Trained { .. }))
    } else {
        let held = held.as_ref()?;
        since(*at).find(|(_, said)| match said {
            LogLine::Assigned { stage, .. } | LogLine::Trained { stage } => stage == held,
            // The last checkpoint of a worker on its way out does not count as recovery.
            LogLine::Committed { stage } => stage == held && !fault.kills(),
            _ => false,
        })
    };
    end.map(|(when, _)| when.duration_since(*at))
}

/// The rows of a table by the stage in their first column, without the header.
fn by_stage(curves: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut stages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in curves.lines().skip(1) {
        let stage = row.split(',').next().unwrap_or_default();
        stages.entry(stage).or_default().push(row);
    }
    stages
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [injected, interrupted, recovered] = ["injected", "interrupted", "recovered"];
        writeln!(
            f,
            "{:46} {injected:>8} {interrupted:>14} {recovered:>10} {:>9} {:>8}",
            "fault", "median, s", "most, s"
        )?;
        for (fault, row) in &self.rows {
            let (median, most) = match row.times.as_slice() {
                [] => ("-".to_owned(), "-".to_owned()),
                times => (seconds(times[times.len() / 2]), seconds(times[times.len() - 1])),
            };
            let (injected, interrupted, recovered) = (row.injected, row.interrupted, row.times.len());
            let name = fault.name();
            writeln!(f, "{name:46} {injected:>8} {interrupted:>14} {recovered:>10} {median:>9} {most:>8}")?;
        }
        let sum = |of: fn(&Row) -> usize| self.rows.values().map(of).sum::<usize>();
        let (injected, interrupted) = (sum(|row| row.injected), sum(|row| row.interrupted));
        writeln!(f, "{:46} {injected:>8} {interrupted:>14} {:>10}", "all", sum(|row| row.times.len()))?;
        writeln!(f)?;
        writeln!(f, "processes ended         {:>8}  of {} asked for", self.kills, self.options.kills)?;
        writeln!(f, "campaign took           {:>8}  seconds", seconds(self.took))?;
        writeln!(f, "attempts                {:>8}  for {} stages", self.attempts, self.stages)?;
        let share = 100.0 * self.steps_repeated as f64 / self.steps.max(1) as f64;
        writeln!(f, "steps repeated          {:>8}  of {} reported, {share:.1}%", self.steps_repeated, self.steps)?;
        writeln!(f, "results lost            {:>8}", self.results_lost)?;
        writeln!(f, "stages undone           {:>8}", self.stages_undone)?;
        writeln!(f, "curves differing        {:>8}", self.curves_differing)?;
        writeln!(f, "points.csv              {:>8}", if self.points_differ { "differs" } else { "equal" })?;
        for wrong in &self.wrong_ends {
            writeln!(f, "wrong: {wrong}")?;
        }
        writeln!(f, "{} (seed {})", if self.passed() { "passed" } else { "FAILED" }, self.options.seed)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
