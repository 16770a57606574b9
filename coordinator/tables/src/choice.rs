//! Which columns hold what, and which rows count.

use std::collections::BTreeMap;

use scaling::Point;

use crate::cell::Cell;
use crate::filter::Filter;
use crate::names;
use crate::read::Table;

/// Columns by name; what is not named is looked for among the usual names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Parameters, N.
    pub n: Option<String>,
    /// Tokens, D.
    pub d: Option<String>,
    /// Compute C, in place of D: D = C / 6N.
    pub flops: Option<String>,
    /// The loss.
    pub loss: Option<String>,
    /// The run that points branch from.
    pub trunk: Option<String>,
    /// What people call the size.
    pub size: Option<String>,
    /// The seed.
    pub seed: Option<String>,
    /// Whether a loss is from the end of a decay.
    pub decayed: Option<String>,
    /// Conditions that all must hold.
    pub filters: Vec<Filter>,
}

/// The points of a table, and what became of its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The points, in the order of the rows.
    pub points: Vec<Point>,
    /// Rows that the file has.
    pub rows: usize,
    /// Rows that are not among the points, and why.
    pub dropped: Vec<(String, usize)>,
    /// What was read from where.
    pub columns: Vec<UsedColumn>,
    /// What points of one trunk have in common.
    pub trunks: String,
    /// How many of the points are not from the end of a decay; `None` where the table does not say.
    pub undecayed: Option<usize>,
    /// Columns that tell apart runs which a law should not be fitted to together.
    pub mixed: Vec<MixedColumn>,
}

/// A column with several values among points that have all else in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixedColumn {
    /// Its name.
    pub column: String,
    /// Its values among the points, in the order of the rows.
    pub values: Vec<String>,
}

/// A column that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedColumn {
    /// As what.
    pub quantity: &'static str,
    /// Its name.
    pub column: String,
    /// What it is taken to be.
    pub meaning: String,
}

/// Why there are no points.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// A column that was named is not there.
    #[error("there is no column {asked:?}: {}", listed(there))]
    NoSuchColumn {
        /// What was asked for.
        asked: String,
        /// What there is.
        there: Vec<String>,
    },
    /// None of the usual names is there.
    #[error("no column is called like {quantity} ({}): name it with {option}. {}", tried.join(", "), listed(there))]
    NotFound {
        /// `N`, `D` or `the loss`.
        quantity: &'static str,
        /// The option that names it.
        option: &'static str,
        /// Names that were looked for.
        tried: Vec<String>,
        /// What there is.
        there: Vec<String>,
    },
    /// Both D and C.
    #[error("--d and --flops exclude each other: with --flops, D = C / 6N")]
    TokensAndCompute,
    /// A cell that cannot be what it must be.
    #[error(
        "row {row} has {column} = {found:?}: it must be a number, finite and above zero (rows can be left out with --where)"
    )]
    BadCell {
        /// Counted from 1, without the header.
        row: usize,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// No row is left.
    #[error("none of its {rows} rows is a point{}", reasons(dropped))]
    NothingLeft {
        /// Rows of the file.
        rows: usize,
        /// Why they are not.
        dropped: Vec<(String, usize)>,
    },
}

fn reasons(dropped: &[(String, usize)]) -> String {
    dropped.iter().map(|(reason, rows)| format!("; {rows} {reason}")).collect()
}

fn listed(columns: &[String]) -> String {
    if columns.is_empty() {
        "the table has no columns".to_owned()
    } else {
        format!("the table has {}", columns.join(", "))
    }
}

/// A column by its place.
#[derive(Debug, Clone)]
struct Found {
    index: usize,
    name: String,
}

impl Table {
    /// Takes the points out of a table.
    ///
    /// # Errors
    /// Where a column is not there, or a row that counts holds what cannot be fitted.
    pub fn choose(&self, choice: &Choice) -> Result<Chosen, ChoiceError> {
        if choice.d.is_some() && choice.flops.is_some() {
            return Err(ChoiceError::TokensAndCompute);
        }
        let n = self.required(choice.n.as_deref(), "N", "--n", names::N)?;
        let loss = self.required(choice.loss.as_deref(), "the loss", "--loss", names::LOSS)?;
        let (amount, is_compute) = self.amount(choice)?;
        let optional = |asked: &Option<String>, usual: &str| match asked {
            Some(name) => self.named(name).map(Some),
            None => Ok(self.usual(&[usual])),
        };
        let size = optional(&choice.size, "size")?;
        let trunk = optional(&choice.trunk, "trunk")?;
        let seed = optional(&choice.seed, "seed")?;
        let decayed = optional(&choice.decayed, "decayed")?;
        let filters: Vec<(usize, &Filter)> = choice
            .filters
            .iter()
            .map(|filter| Ok((self.named(&filter.column)?.index, filter)))
            .collect::<Result<_, ChoiceError>>()?;

        let mut dropped: Vec<(String, usize)> = Vec::new();
        let mut drop = |reason: String| match dropped.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, rows)) => *rows += 1,
            None => dropped.push((reason, 1)),
        };
        // Of a campaign: runs that ended early have the loss of where they were.
        let state = self.usual(&["state"]).filter(|state| filters.iter().all(|(column, _)| *column != state.index));
        let mut points = Vec::new();
        let mut fitted: Vec<&[Cell]> = Vec::new();
        let mut undecayed = 0;
        for (index, row) in self.rows.iter().enumerate() {
            if let Some((_, filter)) = filters.iter().find(|(column, filter)| !filter.accepts(&row[*column])) {
                drop(format!("not {filter}"));
                continue;
            }
            if let Some(state) = &state
                && let ended @ ("pruned" | "diverged") = row[state.index].text().as_str()
            {
                drop(format!("{} = {ended}", state.name));
                continue;
            }
            let wanted = [&n, &amount, &loss];
            if let Some(column) = wanted.iter().find(|column| row[column.index] == Cell::Missing) {
                drop(format!("without a value of {}", column.name));
                continue;
            }
            let number = |column: &Found| match &row[column.index] {
                Cell::Number(value) if value.is_finite() && *value > 0.0 => Ok(*value),
                other => Err(ChoiceError::BadCell { row: index + 1, column: column.name.clone(), found: other.text() }),
            };
            let (n, amount, loss) = (number(&n)?, number(&amount)?, number(&loss)?);
            let text = |column: &Option<Found>| column.as_ref().map(|column| row[column.index].text());
            let by_default = || match text(&seed) {
                Some(seed) => format!("{n} {seed}"),
                None => n.to_string(),
            };
            points.push(Point {
                size: text(&size).unwrap_or_else(|| human(n)),
                n,
                d: if is_compute { amount / (6.0 * n) } else { amount },
                loss,
                trunk: text(&trunk).unwrap_or_else(by_default),
            });
            fitted.push(row);
            undecayed += usize::from(decayed.as_ref().is_some_and(|column| row[column.index].truth() == Some(false)));
        }
        if points.is_empty() {
            return Err(ChoiceError::NothingLeft { rows: self.rows.len(), dropped });
        }
        let trunks = match (&trunk, &seed) {
            (Some(trunk), _) => format!("points share a trunk by the column {:?}", trunk.name),
            (None, Some(seed)) => format!("points of the same N and {:?} are taken to share a trunk", seed.name),
            (None, None) => "no column names trunks: points of the same N are taken to share one".to_owned(),
        };
        let of_a_campaign = ["trunk", "stage", "trial"].iter().all(|name| self.usual(&[name]).is_some());
        let used = |quantity, column: &Found, meaning: &str| UsedColumn {
            quantity,
            column: column.name.clone(),
            meaning: meaning.to_owned(),
        };
        let meaning_of_d = if is_compute { "compute C; D = C / 6N" } else { "tokens as the table counts them" };
        let mut columns = vec![
            used("N", &n, names::meaning_of_n(&n.name, of_a_campaign)),
            used("D", &amount, meaning_of_d),
            used("loss", &loss, "in the table's unit, nats if the coefficients are to be"),
        ];
        columns.extend(size.as_ref().map(|column| used("size", column, "what the size is called")));
        columns.extend(
            decayed.as_ref().map(|column| used("decayed", column, "whether a loss is from the end of a decay")),
        );
        let undecayed = decayed.map(|_| undecayed);
        let used: Vec<usize> = [Some(&n), Some(&amount), Some(&loss), size.as_ref(), trunk.as_ref(), seed.as_ref()]
            .into_iter()
            .flatten()
            .map(|column| column.index)
            .chain(filters.iter().map(|(column, _)| *column))
            .collect();
        let mixed = self.mixed(n.index, &used, &fitted);
        Ok(Chosen { points, rows: self.rows.len(), dropped, columns, trunks, undecayed, mixed })
    }

    /// Columns of what runs of one N may differ in, if they do. What differs only as an earlier one of them does is not
    /// said again, nor what was chosen among or is used.
    fn mixed(&self, n: usize, used: &[usize], rows: &[&[Cell]]) -> Vec<MixedColumn> {
        let mut earlier = vec![n];
        let mut mixed = Vec::new();
        for column in names::APART.iter().filter_map(|name| self.usual(&[name])) {
            let mut alike: BTreeMap<Vec<String>, String> = BTreeMap::new();
            let differs = rows.iter().any(|row| {
                let group = earlier.iter().map(|column| row[*column].text()).collect();
                let value = row[column.index].text();
                *alike.entry(group).or_insert_with(|| value.clone()) != value
            });
            earlier.push(column.index);
            if differs && !used.contains(&column.index) {
                let mut values: Vec<String> = Vec::new();
                for value in rows.iter().map(|row| row[column.index].text()) {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                mixed.push(MixedColumn { column: column.name, values });
            }
        }
        mixed
    }

    /// The column of D, or that of C and that it is one.
    fn amount(&self, choice: &Choice) -> Result<(Found, bool), ChoiceError> {
        match (&choice.d, &choice.flops) {
            (_, Some(flops)) => Ok((self.named(flops)?, true)),
            (Some(d), None) => Ok((self.named(d)?, false)),
            (None, None) => match (self.usual(names::D), self.usual(names::FLOPS)) {
                (Some(d), _) => Ok((d, false)),
                (None, Some(flops)) => Ok((flops, true)),
                (None, None) => Err(self.not_found("D", "--d, or C with --flops", names::D)),
            },
        }
    }

    fn required(
        &self,
        asked: Option<&str>,
        quantity: &'static str,
        option: &'static str,
        usual: &[&str],
    ) -> Result<Found, ChoiceError> {
        match asked {
            Some(name) => self.named(name),
            None => self.usual(usual).ok_or_else(|| self.not_found(quantity, option, usual)),
        }
    }

    fn named(&self, name: &str) -> Result<Found, ChoiceError> {
        let index = self.columns.iter().position(|column| column == name);
        let missing = || ChoiceError::NoSuchColumn { asked: name.to_owned(), there: self.columns.clone() };
        Ok(Found { index: index.ok_or_else(missing)?, name: name.to_owned() })
    }

    fn usual(&self, names: &[&str]) -> Option<Found> {
        let find = |name: &&str| self.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let index = names.iter().find_map(find)?;
        Some(Found { index, name: self.columns[index].clone() })
    }

    fn not_found(&self, quantity: &'static str, option: &'static str, tried: &[&str]) -> ChoiceError {
        let tried = tried.iter().map(|&name| name.to_owned()).collect();
        ChoiceError::NotFound { quantity, option, tried, there: self.columns.clone() }
    }
}

/// A size that has no name, by its parameters to three digits.
fn human(n: f64) -> String {
    let (value, unit) = match n {
        1e9.. => (n / 1e9, "B"),
        1e6.. => (n / 1e6, "M"),
        1e3.. => (n / 1e3, "k"),
        _ => (n, ""),
    };
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}{unit}")
}
