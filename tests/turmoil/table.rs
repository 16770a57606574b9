//! A table of what happened over all seeds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::Yield;
use crate::checks::Found;
use crate::faults::{Fault, Kind};
use crate::world::Played;

pub(crate) struct Table {
    undisturbed: Duration,
    seeds: usize,
    faults: BTreeMap<Kind, usize>,
    recoveries: usize,
    connections: usize,
    repeated: usize,
    checkpoints: usize,
    lost: usize,
    differing: usize,
    simulated: Duration,
    real: Duration,
}

impl Table {
    /// `undisturbed` is the campaign's duration without faults.
    pub(crate) fn new(undisturbed: Duration) -> Self {
        Self {
            undisturbed,
            seeds: 0,
            faults: Kind::ALL.map(|kind| (kind, 0)).into(),
            recoveries: 0,
            connections: 0,
            repeated: 0,
            checkpoints: 0,
            lost: 0,
            differing: 0,
            simulated: Duration::ZERO,
            real: Duration::ZERO,
        }
    }

    pub(crate) fn add(
        &mut self,
        faults: &[Fault],
        played: &Played,
        found: &Found,
        undisturbed: &Yield,
        outcome: &Yield,
        real: Duration,
    ) {
        self.seeds += 1;
        for fault in faults.iter().filter(|fault| fault.from <= played.took) {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
        self.recoveries += found.attempts - found.curves.len();
        self.connections += played.connections;
        self.repeated += found.repeated(&played.track.trained());
        self.checkpoints += found.checkpoints;
        self.lost += undisturbed.results.iter().filter(|result| !outcome.results.contains(result)).count();
        self.differing += undisturbed.curves.iter().filter(|curve| !outcome.curves.contains(curve)).count();
        self.simulated += played.took;
        self.real += real;
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("seeds", self.seeds),
            ("attempts begun again", self.recoveries),
            ("connections", self.connections),
            ("steps repeated", self.repeated),
            ("checkpoints read", self.checkpoints),
            ("results lost", self.lost),
            ("curves differing", self.differing),
        ];
        for (kind, count) in &self.faults {
            writeln!(f, "{:<24} {count:>8}", format!("{kind:?}"))?;
        }
        for (what, count) in rows {
            writeln!(f, "{what:<24} {count:>8}")?;
        }
        writeln!(f, "{:<24} {:>7.0}s", "undisturbed", self.undisturbed.as_secs_f64())?;
        writeln!(f, "{:<24} {:>7.0}s", "simulated", self.simulated.as_secs_f64())?;
        write!(f, "{:<24} {:>7.0}s", "real", self.real.as_secs_f64())
    }
}
