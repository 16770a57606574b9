//! How runs ended, in the words of the programs that keep tables of them.

use crate::cell::Cell;
use crate::names;
use crate::table::Table;
use crate::words::{ANSWERS, FINISHED, STATE, UNFINISHED};

/// The columns of a table that say how runs ended.
#[derive(Debug)]
pub(crate) struct States {
    /// Columns of words.
    words: Vec<usize>,
    /// Columns of yes and no, each with the answer that leaves a row out.
    answers: Vec<(usize, bool)>,
}

impl States {
    pub(crate) fn of(table: &Table) -> Self {
        let plain: Vec<String> = table.columns.iter().map(|name| names::plain(name)).collect();
        let words = (0..plain.len()).filter(|&column| {
            // A column of another kind may have the name: of US states, say.
            STATE.contains(&plain[column].as_str())
                && table.rows.iter().any(|row| word(&row[column]).is_some_and(|word| is_known(&word)))
        });
        let answer = |column: usize| {
            let (_, leaves_out) = ANSWERS.iter().find(|(names, _)| names.contains(&plain[column].as_str()))?;
            let are_answers =
                table.rows.iter().all(|row| row[column] == Cell::Missing || row[column].truth().is_some());
            are_answers.then_some((column, *leaves_out))
        };
        Self { words: words.collect(), answers: (0..plain.len()).filter_map(answer).collect() }
    }

    /// Every column that it reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.words.iter().copied().chain(self.answers.iter().map(|(column, _)| *column))
    }

    /// The column by which a run did not finish. Columns that the user asks about do not count.
    pub(crate) fn unfinished(&self, row: &[Cell], asked: impl Fn(usize) -> bool) -> Option<usize> {
        let by_word = |column: &usize| word(&row[*column]).is_some_and(|word| UNFINISHED.contains(&word.as_str()));
        let by_word = self.words.iter().copied().filter(by_word);
        let by_answer = self.answers.iter().filter(|(column, leaves_out)| row[*column].truth() == Some(*leaves_out));
        by_word.chain(by_answer.map(|(column, _)| *column)).find(|column| !asked(*column))
    }
}

/// Words of a column of states that this program does not know, in the order of rows.
pub(crate) fn unknown<'a>(states: &States, rows: impl Iterator<Item = &'a [Cell]>) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for row in rows {
        for &column in &states.words {
            let is_unknown = word(&row[column]).is_some_and(|word| !is_known(&word));
            let named = (column, row[column].text());
            if is_unknown && !found.contains(&named) {
                found.push(named);
            }
        }
    }
    found
}

fn is_known(word: &str) -> bool {
    UNFINISHED.contains(&word) || FINISHED.contains(&word)
}

/// The word of a cell: `TrialState.PRUNED` is `pruned`, and `CANCELLED by 1000` is `cancelled`.
fn word(cell: &Cell) -> Option<String> {
    let Cell::Text(text) = cell else { return None };
    let last = text.rsplit('.').next().unwrap_or(text);
    let word = last.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    match word.split_once("_by_") {
        Some((word, _)) => Some(word.to_owned()),
        None => Some(word),
    }
}
