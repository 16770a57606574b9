//! Several runs of one N and D: what tells them apart, and the best of them.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::text::listed;

use crate::cell::Cell;
use crate::names;
use crate::table::Table;

/// A row that may become a point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Counted from 0.
    pub(crate) row: usize,
    pub(crate) cells: &'a [Cell],
    pub(crate) n: f64,
    pub(crate) amount: f64,
    /// Not finite if the run diverged.
    pub(crate) loss: f64,
}

impl Run<'_> {
    fn place(&self) -> (u64, u64) {
        (self.n.to_bits(), self.amount.to_bits())
    }
}

/// Columns of a table by what they say of a run.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    table: &'a Table,
    /// Columns of settings, in the table's order.
    columns: Vec<usize>,
    seed: Option<usize>,
    trunk: Option<usize>,
}

/// What several rows of one N and D differ in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// The most rows of one N and D.
    pub(crate) most: usize,
    /// The columns they differ in, in the table's order.
    pub(crate) columns: Vec<String>,
    /// Whether seeds or trunks tell apart what no setting does.
    pub(crate) are_seeds: bool,
}

impl Repeats {
    /// As a sentence, with what to do.
    pub(crate) fn in_words(&self) -> String {
        let Self { most, columns, .. } = self;
        match &columns[..] {
            [] => format!(
                "each (N, D) has up to {most} rows, and no column tells them apart: name the seed with `fit --seed COLUMN`, \
                 or take the best of each with `fit --best-per-cell`"
            ),
            _ => format!(
                "each (N, D) has up to {most} rows, which differ in {}: one law is fitted to all of them. Take the best of \
                 each with `fit --best-per-cell`, or choose with `fit --where COLUMN=VALUE`",
                listed(columns)
            ),
        }
    }
}

impl<'a> Settings<'a> {
    /// `used` are the columns that have another meaning.
    pub(crate) fn of(
        table: &'a Table,
        runs: &[Run<'_>],
        used: &[usize],
        seed: Option<usize>,
        trunk: Option<usize>,
    ) -> Self {
        let places = by_place(runs);
        let several: Vec<&Run<'_>> = places.values().filter(|runs| runs.len() > 1).flatten().copied().collect();
        let is_setting = |column: &usize| {
            let name = &table.columns[*column];
            names::is_setting(name) || (!names::is_of_one_run(name) && recurs(&several, *column))
        };
        let columns = (0..table.columns.len()).filter(|column| !used.contains(column)).filter(is_setting).collect();
        Self { table, columns, seed, trunk }
    }

    /// What rows of one N and D differ in; `None` where there is one row of each, or only seeds differ.
    pub(crate) fn repeats(&self, runs: &[Run<'_>]) -> Option<Repeats> {
        let places = by_place(runs);
        let several: Vec<&Vec<&Run<'_>>> = places.values().filter(|runs| losses(runs) > 1).collect();
        let most = several.iter().map(|runs| runs.len()).max()?;
        let differs = |column: usize| {
            several.iter().any(|runs| runs.iter().any(|run| run.cells[column].key() != runs[0].cells[column].key()))
        };
        let columns: Vec<String> = self
            .columns
            .iter()
            .filter(|column| differs(**column))
            .map(|column| self.table.columns[*column].clone())
            .collect();
        let are_seeds = [self.seed, self.trunk].into_iter().flatten().any(differs);
        (!columns.is_empty() || !are_seeds).then_some(Repeats { most, columns, are_seeds })
    }

    /// The runs of the best setting of each N and D, in order: the one with the lowest loss, or the lowest mean over seeds.
    /// All seeds of that setting stay.
    pub(crate) fn best<'r>(&self, runs: &[Run<'r>]) -> Vec<Run<'r>> {
        let mut best: BTreeSet<usize> = BTreeSet::new();
        for runs in by_place(runs).values() {
            let mut settings: BTreeMap<Vec<String>, Vec<&Run<'_>>> = BTreeMap::new();
            for run in runs {
                let mut key: Vec<String> = self.columns.iter().map(|column| run.cells[*column].key()).collect();
                if self.seed.is_none() {
                    key.push(run.row.to_string());
                }
                settings.entry(key).or_default().push(run);
            }
            let mean = |runs: &[&Run<'_>]| runs.iter().map(|run| run.loss).sum::<f64>() / runs.len() as f64;
            // Of equals, the one that comes first in the table.
            let lower = |one: &&[&Run<'_>], other: &&[&Run<'_>]| {
                mean(one).total_cmp(&mean(other)).then(one[0].row.cmp(&other[0].row))
            };
            // A setting of which a seed diverged is not the best, unless one of each did.
            let whole = settings.values().map(Vec::as_slice).filter(|runs| mean(runs).is_finite()).min_by(lower);
            let single = || runs.chunks(1).filter(|run| run[0].loss.is_finite()).min_by(lower);
            best.extend(whole.or_else(single).into_iter().flatten().map(|run| run.row));
        }
        runs.iter().filter(|run| best.contains(&run.row)).copied().collect()
    }
}

/// Runs by their N and D.
fn by_place<'a, 'r>(runs: &'a [Run<'r>]) -> BTreeMap<(u64, u64), Vec<&'a Run<'r>>> {
    let mut places: BTreeMap<(u64, u64), Vec<&Run<'_>>> = BTreeMap::new();
    for run in runs {
        places.entry(run.place()).or_default().push(run);
    }
    places
}

/// How many different losses there are; rows that are equal in it are duplicates.
fn losses(runs: &[&Run<'_>]) -> usize {
    runs.iter().map(|run| run.loss.to_bits()).collect::<BTreeSet<_>>().len()
}

/// Whether the values of a column come again and again, as those of a setting do and those of a measurement do not.
fn recurs(runs: &[&Run<'_>], column: usize) -> bool {
    let values: BTreeSet<String> = runs.iter().map(|run| run.cells[column].key()).collect();
    values.len() > 1 && values.len() * 2 <= runs.len()
}
