//! Named columns and rows of cells.

use vocabulary::numeral::{DecimalSign, Numeral};

use crate::cell::Cell;

/// Named columns and rows of cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Column names, in the file's order. Two columns may have the same.
    pub columns: Vec<String>,
    /// Each row has one cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// What was decided about the file while reading it, a sentence each.
    pub notes: Vec<String>,
}

/// The decimal sign of a table's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decimals {
    /// No number gives it away.
    Unknown,
    /// All that give it away have this one.
    One(DecimalSign),
    /// Some have a point and some a comma.
    Both,
}

/// Why a cell has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoNumber {
    /// It holds something else.
    Words,
    /// It may be one of two numbers.
    Undecided,
}

impl Table {
    /// Whether it is the `points.csv` of a campaign.
    pub(crate) fn is_of_a_campaign(&self) -> bool {
        ["trunk", "stage", "trial"].iter().all(|name| self.columns.iter().any(|column| column == name))
    }

    /// The decimal sign that its numbers have in common.
    pub(crate) fn decimals(&self) -> Decimals {
        let mut seen = Decimals::Unknown;
        for cell in self.rows.iter().flatten() {
            if let Cell::Text(text) = cell
                && let Some(Numeral::Certain { sign: Some(sign), .. }) = Numeral::parse(text)
            {
                seen = match seen {
                    Decimals::Unknown => Decimals::One(sign),
                    Decimals::One(before) if before == sign => seen,
                    _ => return Decimals::Both,
                };
            }
        }
        seen
    }

    /// Adds a row. An unknown name becomes a new column, and the same name twice becomes two.
    pub(crate) fn push(&mut self, cells: impl Iterator<Item = (String, Cell)>) {
        let mut row = vec![Cell::Missing; self.columns.len()];
        let mut filled = vec![false; self.columns.len()];
        for (name, cell) in cells {
            let free = (0..self.columns.len()).find(|column| self.columns[*column] == name && !filled[*column]);
            match free {
                Some(index) => {
                    row[index] = cell;
                    filled[index] = true;
                }
                None => {
                    self.columns.push(name);
                    self.rows.iter_mut().for_each(|row| row.push(Cell::Missing));
                    row.push(cell);
                    filled.push(true);
                }
            }
        }
        self.rows.push(row);
    }
}

impl Decimals {
    /// Reads a cell as a number.
    pub(crate) fn number(self, cell: &Cell) -> Result<f64, NoNumber> {
        let numeral = cell.numeral().ok_or(NoNumber::Words)?;
        match (numeral, self) {
            (Numeral::Certain { value, .. }, _) => Ok(value),
            (_, Self::One(sign)) => Ok(numeral.with(sign)),
            (Numeral::Either { sign: DecimalSign::Point, fraction, .. }, Self::Unknown) => Ok(fraction),
            _ => Err(NoNumber::Undecided),
        }
    }
}
