//! Chooses the columns and rows of a table that become points.

use std::collections::{BTreeMap, BTreeSet};

use scaling::Point;
use vocabulary::text::listed;
use vocabulary::units::human_count;

use crate::cell::Cell;
use crate::cells::{Run, Settings};
use crate::choice::{Choice, Chosen, UsedColumn};
use crate::choice_error::ChoiceError;
use crate::columns::{Columns, Found, named};
use crate::filter::Filter;
use crate::names::{self, Multiple};
use crate::plausible::implausible;
use crate::states::{self, States};
use crate::table::{Decimals, NoNumber, Table};
use crate::words::APART;

/// Rows left out, by reason.
#[derive(Default)]
struct Dropped(Vec<(String, usize)>);

impl Dropped {
    fn row(&mut self, reason: String) {
        match self.0.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, rows)) => *rows += 1,
            None => self.0.push((reason, 1)),
        }
    }
}

impl Table {
    /// Extracts the points of a table.
    ///
    /// # Errors
    /// Fails if it is not certain which column is meant, or a row that satisfies the conditions holds a value that cannot be
    /// fitted.
    pub fn choose(&self, choice: &Choice) -> Result<Chosen, ChoiceError> {
        let decimals = self.decimals();
        let columns = Columns::of(self, decimals, choice)?;
        let filters: Vec<(usize, &Filter)> = choice
            .filters
            .iter()
            .map(|filter| Ok((named(self, &filter.column, "--where")?, filter)))
            .collect::<Result<_, ChoiceError>>()?;
        let states = States::of(self);
        let mut dropped = Dropped::default();
        let runs = self.runs(&columns, decimals, choice, &filters, &states, &mut dropped)?;

        let used: Vec<usize> =
            columns.all().chain(states.columns()).chain(filters.iter().map(|(column, _)| *column)).collect();
        let settings = Settings::of(self, &runs, &used, columns.seed, columns.trunk);
        let repeats = settings.repeats(&runs);
        let mut notes = self.notes.clone();
        if decimals == Decimals::One(vocabulary::numeral::DecimalSign::Comma) {
            notes.push("a comma begins the fraction of its numbers".to_owned());
        }
        notes.extend(columns.notes.iter().cloned());
        notes.extend(self.unknown_states(&states, &runs));
        let fitted = match choice.best_per_cell {
            false => {
                notes.extend(repeats.as_ref().map(|repeats| repeats.in_words()));
                runs
            }
            true => {
                let best = settings.best(&runs);
                (best.len()..runs.len()).for_each(|_| dropped.row("not the best of their (N, D)".to_owned()));
                notes.push(best_in_words(repeats.as_ref().map(|repeats| &repeats.columns[..]), columns.seed.is_some()));
                best
            }
        };
        let within = repeats.map(|repeats| repeats.columns).unwrap_or_default();
        notes.extend(self.mixed(&columns, &used, &within, &fitted));
        if fitted.is_empty() {
            return Err(ChoiceError::NothingLeft { rows: self.rows.len(), dropped: dropped.0 });
        }
        let points: Vec<Point> = {
            let used = [columns.n.index, columns.amount.index, columns.loss.index];
            let named = [columns.size, columns.trunk, columns.seed, columns.decayed];
            let is_setting = |(index, name): &(usize, &String)| {
                !used.contains(index) && !named.contains(&Some(*index)) && !names::is_of_one_run(name)
            };
            let settings: Vec<usize> =
                self.columns.iter().enumerate().filter(is_setting).map(|(index, _)| index).collect();
            fitted.iter().map(|run| point(&columns, run, &settings)).collect()
        };
        notes.extend(implausible(&points));
        let undecayed =
            columns.decayed.map(|column| fitted.iter().filter(|run| run.cells[column].truth() == Some(false)).count());
        let is_campaign = self.is_of_a_campaign();
        Ok(Chosen {
            points,
            rows: self.rows.len(),
            dropped: dropped.0,
            columns: self.used(&columns, &fitted, is_campaign),
            trunks: self.trunks(&columns),
            undecayed,
            unit: names::unit_of_loss(&self.columns[columns.loss.index], is_campaign),
            notes,
        })
    }

    /// The rows that can be fitted.
    fn runs(
        &self,
        columns: &Columns,
        decimals: Decimals,
        choice: &Choice,
        filters: &[(usize, &Filter)],
        states: &States,
        dropped: &mut Dropped,
    ) -> Result<Vec<Run<'_>>, ChoiceError> {
        let asked = |column: usize| filters.iter().any(|(other, _)| *other == column);
        let wanted = [&columns.n, &columns.amount, &columns.loss];
        let mut runs = Vec::new();
        for (row, cells) in self.rows.iter().enumerate() {
            if let Some((_, filter)) =
                filters.iter().find(|(column, filter)| !filter.accepts(&cells[*column], decimals))
            {
                dropped.row(format!("not {filter}"));
                continue;
            }
            if let Some(column) = states.unfinished(cells, asked) {
                dropped.row(format!("{} = {}", self.columns[column], cells[column].text()));
                continue;
            }
            if let Some(column) = wanted.iter().find(|column| cells[column.index] == Cell::Missing) {
                dropped.row(format!("without a value in {}", self.columns[column.index]));
                continue;
            }
            let bad = |column: usize| ChoiceError::BadCell {
                row: row + 1,
                column: self.columns[column].clone(),
                found: cells[column].text(),
            };
            let number = |column: usize| {
                let (row, name, found) = (row + 1, self.columns[column].clone(), cells[column].text());
                decimals.number(&cells[column]).map_err(|why| match why {
                    NoNumber::Words => bad(column),
                    NoNumber::Undecided => ChoiceError::Undecided { row, column: name, found },
                })
            };
            let count = |column: &Found| {
                let Found { index, multiple } = *column;
                if cells[index].is_percent() {
                    let (row, column, found) = (row + 1, self.columns[index].clone(), cells[index].text());
                    return Err(ChoiceError::Percentage { row, column, found });
                }
                let value = number(index)? * multiple.map_or(1.0, Multiple::factor);
                if value.is_finite() && value > 0.0 { Ok(value) } else { Err(bad(index)) }
            };
            let (n, amount) = (count(&columns.n)?, count(&columns.amount)?);
            let loss = number(columns.loss.index)?;
            // Among several settings a diverged one is merely not the best.
            let is_loss = loss.is_finite() && loss > 0.0;
            if !is_loss && (!choice.best_per_cell || loss.is_finite()) {
                return Err(bad(columns.loss.index));
            }
            runs.push(Run { row, cells, n, amount, loss: if loss.is_finite() { loss } else { f64::INFINITY } });
        }
        if choice.best_per_cell {
            // An N and D of which every run diverged has no best.
            let place = |run: &Run<'_>| (run.n.to_bits(), run.amount.to_bits());
            let finite: BTreeSet<(u64, u64)> = runs.iter().filter(|run| run.loss.is_finite()).map(place).collect();
            let (kept, diverged): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| finite.contains(&place(run)));
            diverged.iter().for_each(|_| dropped.row("diverged, with all others of their (N, D)".to_owned()));
            runs = kept;
        }
        Ok(runs)
    }

    /// A note on states that this program does not know, beside those that it does.
    fn unknown_states(&self, states: &States, runs: &[Run<'_>]) -> Option<String> {
        let unknown = states::unknown(states, runs.iter().map(|run| run.cells));
        let unknown: Vec<String> =
            unknown.into_iter().map(|(column, word)| format!("{} = {word}", self.columns[column])).collect();
        (!unknown.is_empty()).then(|| {
            format!("rows with {} are fitted: leave them out with `fit --where COLUMN!=VALUE`", listed(&unknown))
        })
    }

    /// Notes on columns in which runs of one N differ, although no two have the same N and D. Leaves out a column that
    /// varies only together with an earlier one.
    fn mixed(&self, columns: &Columns, used: &[usize], within: &[String], runs: &[Run<'_>]) -> Vec<String> {
        let mut earlier = vec![columns.n.index];
        let mut notes = Vec::new();
        let is_apart = |column: &usize| names::apart(&self.columns[*column]);
        let mut others: Vec<usize> = (0..self.columns.len()).filter(|column| !used.contains(column)).collect();
        others.sort_by_key(is_apart);
        for column in others {
            let name = &self.columns[column];
            if within.contains(name) || !(names::apart(name) < APART.len() || self.are_kinds(name, column, runs)) {
                continue;
            }
            let mut alike: BTreeMap<Vec<String>, String> = BTreeMap::new();
            let differs = runs.iter().any(|run| {
                let group = earlier.iter().map(|column| run.cells[*column].key()).collect();
                let value = run.cells[column].key();
                *alike.entry(group).or_insert_with(|| value.clone()) != value
            });
            earlier.push(column);
            if differs {
                let mut values: Vec<String> = Vec::new();
                for value in runs.iter().map(|run| run.cells[column].text()) {
                    let value = if value.is_empty() { "(none)".to_owned() } else { value };
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                let first: Vec<&str> = values.iter().take(4).map(String::as_str).collect();
                let more = if values.len() > first.len() { ", ..." } else { "" };
                notes.push(format!(
                    "one law is fitted to points with {} different values of {name} ({}{more}): choose one with `fit --where \
                     '{name}=VALUE'`",
                    values.len(),
                    first.join(", ")
                ));
            }
        }
        notes
    }

    /// Whether a column sorts the runs into a few kinds by words.
    fn are_kinds(&self, name: &str, column: usize, runs: &[Run<'_>]) -> bool {
        let mut values: Vec<String> = runs.iter().map(|run| run.cells[column].text()).collect();
        let are_words =
            runs.iter().all(|run| matches!(&run.cells[column], Cell::Text(_)) && run.cells[column].numeral().is_none());
        values.sort_unstable();
        values.dedup();
        are_words && !names::is_of_one_run(name) && values.len() * 4 <= runs.len()
    }

    fn trunks(&self, columns: &Columns) -> String {
        match (columns.trunk, columns.seed) {
            (Some(trunk), _) => format!("points with the same {:?} share a trunk", self.columns[trunk]),
            (None, Some(seed)) => {
                format!("points with the same N and {:?} are assumed to share a trunk", self.columns[seed])
            }
            (None, None) => "no column names trunks: points with the same N are assumed to share one".to_owned(),
        }
    }

    fn used(&self, columns: &Columns, runs: &[Run<'_>], is_campaign: bool) -> Vec<UsedColumn> {
        let used = |quantity, column: usize, meaning: String| UsedColumn {
            quantity,
            column: self.columns[column].clone(),
            meaning,
        };
        let unit =
            |found: Found| found.multiple.map(|multiple| format!(", in {}", multiple.in_words())).unwrap_or_default();
        let n = names::meaning_of_n(&self.columns[columns.n.index], is_campaign);
        let d = if columns.is_compute { "compute C; D = C / 6N" } else { "tokens, as the table counts them" };
        let loss = columns.loss.index;
        let mut meaning = match names::unit_of_loss(&self.columns[loss], is_campaign) {
            Some(unit) => unit.to_owned(),
            None => "in the table's unit, which its name does not tell".to_owned(),
        };
        if runs.iter().any(|run| run.cells[loss].is_percent()) {
            meaning.push_str("; percentages are read as shares, 35.2% as 0.352");
        }
        let mut all = vec![
            used("N", columns.n.index, format!("{n}{}", unit(columns.n))),
            used("D", columns.amount.index, format!("{d}{}", unit(columns.amount))),
            used("loss", loss, meaning),
        ];
        all.extend(columns.size.map(|column| used("size", column, "name of the model size".to_owned())));
        let decayed = "whether a loss is from the end of a decay";
        all.extend(columns.decayed.map(|column| used("decayed", column, decayed.to_owned())));
        all
    }
}

fn point(columns: &Columns, run: &Run<'_>, settings: &[usize]) -> Point {
    let text = |column: Option<usize>| column.map(|column| run.cells[column].text());
    let by_default = || match text(columns.seed) {
        Some(seed) => format!("{} {seed}", run.n),
        None => run.n.to_string(),
    };
    Point {
        size: text(columns.size).unwrap_or_else(|| human_count(run.n)),
        n: run.n,
        d: if columns.is_compute { run.amount / (6.0 * run.n) } else { run.amount },
        loss: run.loss,
        trunk: text(columns.trunk).unwrap_or_else(by_default),
        seed: text(columns.seed).unwrap_or_default(),
        setting: settings.iter().map(|column| run.cells[*column].text()).collect::<Vec<_>>().join(" "),
        ..Point::default()
    }
}

/// What `--best-per-cell` did.
fn best_in_words(differ: Option<&[String]>, has_seed: bool) -> String {
    let of = if has_seed { "lowest mean loss over seeds, whose points all stay" } else { "lowest loss" };
    match differ {
        Some(columns @ [_, ..]) => {
            format!("the best {} of each (N, D) is fitted: that of the {of}", listed(columns))
        }
        Some(_) => format!("the best row of each (N, D) is fitted: that of the {of}"),
        None => "each (N, D) has one setting: --best-per-cell leaves nothing out".to_owned(),
    }
}
