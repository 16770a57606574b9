//! Finds the columns that hold N, D, the loss and the rest. Where two could be meant, none is taken without a word.

use vocabulary::text::listed;
use vocabulary::units::human_count;

use crate::cell::Cell;
use crate::choice::Choice;
use crate::choice_error::ChoiceError;
use crate::names::{self, Multiple};
use crate::table::{Decimals, Table};
use crate::words;

/// A largest value below this is not a count of parameters or tokens: a depth, or a number of billions.
const LEAST_COUNT: f64 = 1e4;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) index: usize,
    /// What its numbers are multiplied by.
    pub(crate) multiple: Option<Multiple>,
}

/// The columns of a table that become points.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) n: Found,
    /// D, or C.
    pub(crate) amount: Found,
    pub(crate) is_compute: bool,
    pub(crate) loss: Found,
    pub(crate) size: Option<usize>,
    pub(crate) trunk: Option<usize>,
    pub(crate) seed: Option<usize>,
    pub(crate) decayed: Option<usize>,
    /// The decisions that are worth a word.
    pub(crate) notes: Vec<String>,
}

/// What a column is looked for.
#[derive(Clone, Copy)]
struct Quantity {
    name: &'static str,
    option: &'static str,
    /// Names that are taken before all others, and why.
    first: (&'static [&'static str], &'static str),
    names: &'static [&'static str],
    /// For a count: more than it can be.
    limit: Option<f64>,
}

const N: Quantity = Quantity {
    name: "N",
    option: "--n",
    first: (words::N_WITHOUT_EMBEDDINGS, "N counts no embeddings"),
    names: words::N,
    limit: Some(1e13),
};
const D: Quantity = Quantity { name: "D", option: "--d", first: (&[], ""), names: words::D, limit: Some(1e14) };
const C: Quantity = Quantity { name: "C", option: "--flops", first: (&[], ""), names: words::FLOPS, limit: None };
const LOSS: Quantity =
    Quantity { name: "the loss", option: "--loss", first: (&[], ""), names: words::LOSS, limit: None };

impl Columns {
    pub(crate) fn of(table: &Table, decimals: Decimals, choice: &Choice) -> Result<Self, ChoiceError> {
        let mut search = Search { table, decimals, notes: Vec::new() };
        let n = search.required(choice.n.as_deref(), N)?;
        let (amount, is_compute) = match (&choice.d, &choice.flops) {
            (Some(_), Some(_)) => return Err(ChoiceError::TokensAndCompute),
            (None, Some(flops)) => (search.named(flops, C.option)?, true),
            (Some(d), None) => (search.counted(d, D)?, false),
            (None, None) => match (search.usual(D)?, search.usual(C)?) {
                (Some(d), _) => (d, false),
                (None, Some(flops)) => (flops, true),
                (None, None) => return Err(search.not_found(D)),
            },
        };
        let loss = search.required(choice.loss.as_deref(), LOSS)?;
        let seeds = if table.is_of_a_campaign() { &words::SEED[..1] } else { words::SEED };
        let size = search.optional(choice.size.as_deref(), "--size", &["size"])?;
        let trunk = search.optional(choice.trunk.as_deref(), "--trunk", &["trunk"])?;
        let seed = search.optional(choice.seed.as_deref(), "--seed", seeds)?;
        let decayed = search.optional(choice.decayed.as_deref(), "--decayed", &["decayed"])?;
        Ok(Self { n, amount, is_compute, loss, size, trunk, seed, decayed, notes: search.notes })
    }

    /// Every column that has a meaning for points.
    pub(crate) fn all(&self) -> impl Iterator<Item = usize> {
        let fixed = [self.n.index, self.amount.index, self.loss.index];
        fixed.into_iter().chain([self.size, self.trunk, self.seed, self.decayed].into_iter().flatten())
    }
}

/// The column with a name; of several with that name, `NAME#2` is the second.
pub(crate) fn named(table: &Table, asked: &str, option: &'static str) -> Result<usize, ChoiceError> {
    let with = |name: &str| (0..table.columns.len()).filter(|index| table.columns[*index] == name).collect::<Vec<_>>();
    let duplicate = |found: &[usize]| ChoiceError::Ambiguous {
        quantity: "it",
        option,
        why: format!("the table has {} columns {asked:?}", found.len()),
        candidates: described(table, found),
        choices: choices(table, found),
    };
    match with(asked)[..] {
        [only] => return Ok(only),
        [] => {}
        ref several if are_equal(table, several) => return Ok(several[0]),
        ref several => return Err(duplicate(several)),
    }
    let numbered = asked.rsplit_once('#').and_then(|(name, number)| Some((with(name), number.parse::<usize>().ok()?)));
    if let Some((found, number)) = numbered
        && let Some(index) = number.checked_sub(1).and_then(|number| found.get(number))
    {
        return Ok(*index);
    }
    Err(ChoiceError::NoSuchColumn { asked: asked.to_owned(), there: table.columns.clone() })
}

/// The name by which an option can ask for a column.
pub(crate) fn askable(table: &Table, index: usize) -> String {
    let name = &table.columns[index];
    let same: Vec<usize> = (0..table.columns.len()).filter(|other| table.columns[*other] == *name).collect();
    match same.iter().position(|other| *other == index) {
        Some(place) if same.len() > 1 => format!("{name}#{}", place + 1),
        _ => name.clone(),
    }
}

fn choices(table: &Table, found: &[usize]) -> Vec<String> {
    found.iter().map(|index| askable(table, *index)).collect()
}

/// Columns with the first of their values.
fn described(table: &Table, found: &[usize]) -> Vec<String> {
    let first = |index: &usize| {
        let value = table.rows.iter().map(|row| row[*index].text()).find(|value| !value.is_empty());
        let value = value.map_or_else(|| "empty".to_owned(), |value| format!("first value {value}"));
        format!("{:?} (column {}, {value})", table.columns[*index], index + 1)
    };
    found.iter().map(first).collect()
}

/// Whether columns hold the same values, so that it does not matter which is taken.
fn are_equal(table: &Table, found: &[usize]) -> bool {
    table.rows.iter().all(|row| found.windows(2).all(|pair| row[pair[0]].key() == row[pair[1]].key()))
}

struct Search<'a> {
    table: &'a Table,
    decimals: Decimals,
    notes: Vec<String>,
}

impl Search<'_> {
    fn required(&mut self, asked: Option<&str>, quantity: Quantity) -> Result<Found, ChoiceError> {
        match asked {
            Some(name) if quantity.limit.is_some() => self.counted(name, quantity),
            Some(name) => self.named(name, quantity.option),
            None => self.usual(quantity)?.ok_or_else(|| self.not_found(quantity)),
        }
    }

    fn named(&self, name: &str, option: &'static str) -> Result<Found, ChoiceError> {
        Ok(Found { index: named(self.table, name, option)?, multiple: None })
    }

    /// A column of counts that was asked for.
    fn counted(&mut self, name: &str, quantity: Quantity) -> Result<Found, ChoiceError> {
        let index = named(self.table, name, quantity.option)?;
        let multiple = names::multiple(&self.table.columns[index]).map(|(_, multiple)| multiple);
        Ok(self.scaled(index, multiple, quantity))
    }

    /// The column with one of the usual names, if there is one.
    fn usual(&mut self, quantity: Quantity) -> Result<Option<Found>, ChoiceError> {
        let of = |names: &[&str]| -> Vec<Found> {
            (0..self.table.columns.len()).filter_map(|index| self.called(index, names)).collect()
        };
        let first = of(quantity.first.0);
        let others = of(quantity.names);
        let all: Vec<Found> = first.iter().chain(&others).copied().collect();
        let mut found = all.clone();
        found.retain(|column| self.holds_numbers(column.index));
        if found.is_empty() {
            found.clone_from(&all);
        }
        self.drop_equal(&mut found);
        if found.len() > 1 && quantity.limit.is_some() {
            let counts = |column: &Found| self.largest(*column) >= LEAST_COUNT;
            let plausible: Vec<Found> = found.iter().copied().filter(counts).collect();
            if let [only] = plausible[..] {
                let small = found.iter().filter(|column| column.index != only.index);
                let small: Vec<String> = small.map(|column| format!("{:?}", self.name(*column))).collect();
                self.notes.push(format!(
                    "{} is {:?}: the numbers of {} are too small for it",
                    quantity.name,
                    self.name(only),
                    listed(&small)
                ));
                found = vec![only];
            }
        }
        if found.len() > 1
            && let [only] = found.iter().copied().filter(|column| first.contains(column)).collect::<Vec<_>>()[..]
        {
            let left: Vec<String> = found
                .iter()
                .filter(|column| **column != only)
                .map(|column| format!("{:?}", self.name(*column)))
                .collect();
            self.notes.push(format!(
                "{} is {:?}, not {}: {}",
                quantity.name,
                self.name(only),
                listed(&left),
                quantity.first.1
            ));
            found = vec![only];
        }
        match found[..] {
            [] => Ok(None),
            [only] => Ok(Some(self.scaled(only.index, only.multiple, quantity))),
            ref several => {
                let several: Vec<usize> = several.iter().map(|column| column.index).collect();
                Err(ChoiceError::Ambiguous {
                    quantity: quantity.name,
                    option: quantity.option,
                    why: format!("{} columns may be {}", several.len(), quantity.name),
                    candidates: described(self.table, &several),
                    choices: choices(self.table, &several),
                })
            }
        }
    }

    /// The column, if it has one of these names, with or without a unit.
    fn called(&self, index: usize, names: &[&str]) -> Option<Found> {
        let name = &self.table.columns[index];
        if names.contains(&names::plain(name).as_str()) {
            return Some(Found { index, multiple: None });
        }
        let (base, multiple) = names::multiple(name)?;
        names.contains(&base.as_str()).then_some(Found { index, multiple: Some(multiple) })
    }

    /// Applies the unit of a column's name, unless its numbers are counts already.
    fn scaled(&mut self, index: usize, multiple: Option<Multiple>, quantity: Quantity) -> Found {
        let Some(unit) = multiple else { return Found { index, multiple: None } };
        let plain = Found { index, multiple: None };
        let name = &self.table.columns[index];
        let has_unit = |row: &Vec<Cell>| matches!(&row[index], Cell::Text(text) if text.ends_with(char::is_alphabetic));
        let largest = self.largest(plain);
        if self.table.rows.iter().any(has_unit) || quantity.limit.is_some_and(|limit| largest * unit.factor() > limit) {
            self.notes.push(format!(
                "{} is read as it is: {name:?} says {}, but its numbers, up to {}, are counts already",
                quantity.name,
                unit.in_words(),
                human_count(largest)
            ));
            return plain;
        }
        self.notes.push(format!(
            "{} is in {}, as {name:?} says: its numbers are multiplied",
            quantity.name,
            unit.in_words()
        ));
        Found { index, multiple }
    }

    fn optional(
        &self,
        asked: Option<&str>,
        option: &'static str,
        usual: &[&str],
    ) -> Result<Option<usize>, ChoiceError> {
        if let Some(name) = asked {
            return named(self.table, name, option).map(Some);
        }
        let is_called = |index: &usize| usual.contains(&names::plain(&self.table.columns[*index]).as_str());
        let mut found: Vec<Found> =
            (0..self.table.columns.len()).filter(is_called).map(|index| Found { index, multiple: None }).collect();
        self.drop_equal(&mut found);
        match found[..] {
            [] => Ok(None),
            [only] => Ok(Some(only.index)),
            ref several => {
                let several: Vec<usize> = several.iter().map(|column| column.index).collect();
                Err(ChoiceError::Ambiguous {
                    quantity: option.trim_start_matches('-'),
                    option,
                    why: format!("{} columns may be the {}", several.len(), option.trim_start_matches('-')),
                    candidates: described(self.table, &several),
                    choices: choices(self.table, &several),
                })
            }
        }
    }

    fn name(&self, column: Found) -> &str {
        &self.table.columns[column.index]
    }

    /// Leaves out columns that hold the same as an earlier one.
    fn drop_equal(&self, found: &mut Vec<Found>) {
        let mut kept: Vec<Found> = Vec::new();
        for column in found.iter() {
            match kept.iter_mut().find(|other| self.agree(**other, *column)) {
                // Of a count and its millions, the count has all its digits.
                Some(other) if other.multiple.is_some() && column.multiple.is_none() => *other = *column,
                Some(_) => {}
                None => kept.push(*column),
            }
        }
        *found = kept;
    }

    /// Whether two columns say the same, one of them perhaps in rounded millions.
    fn agree(&self, one: Found, other: Found) -> bool {
        if one.multiple == other.multiple {
            return are_equal(self.table, &[one.index, other.index]);
        }
        let number = |column: Found, row: &[Cell]| {
            let number = self.decimals.number(&row[column.index]).ok()?;
            Some(number * column.multiple.map_or(1.0, Multiple::factor))
        };
        self.table.rows.iter().all(|row| match (number(one, row), number(other, row)) {
            (Some(one), Some(other)) => (one / other - 1.0).abs() < 0.1,
            (one, other) => one.is_none() && other.is_none(),
        })
    }

    fn holds_numbers(&self, index: usize) -> bool {
        self.table.rows.iter().any(|row| self.decimals.number(&row[index]).is_ok())
    }

    /// The largest finite number of a column.
    fn largest(&self, column: Found) -> f64 {
        let factor = column.multiple.map_or(1.0, Multiple::factor);
        let numbers = self.table.rows.iter().filter_map(|row| self.decimals.number(&row[column.index]).ok());
        factor * numbers.filter(|number| number.is_finite()).fold(0.0, f64::max)
    }

    fn not_found(&self, quantity: Quantity) -> ChoiceError {
        let option = if quantity.option == "--d" { "--d, or C with --flops" } else { quantity.option };
        let tried = quantity.names.iter().take(6).map(|&name| name.to_owned()).collect();
        ChoiceError::NotFound {
            quantity: quantity.name,
            option,
            tried,
            there: self.table.columns.clone(),
            hint: self.hint(),
        }
    }

    /// What the shape of the table suggests.
    fn hint(&self) -> String {
        let amounts = self.table.columns.iter().filter(|name| vocabulary::numeral::Numeral::parse(name).is_some());
        let amounts: Vec<&str> = amounts.map(String::as_str).take(3).collect();
        if amounts.len() >= 2 {
            return format!(
                ". Columns such as {} look like amounts: one row for each N and D is needed, with columns such as params, \
                 tokens and loss",
                listed(&amounts)
            );
        }
        match &self.table.columns[..] {
            [only] if only.contains(char::is_whitespace) => {
                ". That is one column: separate columns by commas, semicolons or tabs".to_owned()
            }
            _ => String::new(),
        }
    }
}
