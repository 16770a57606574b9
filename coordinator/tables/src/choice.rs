//! Chooses the columns and rows of a table that become points.

use std::collections::BTreeMap;

use scaling::Point;

use crate::cell::Cell;
use crate::filter::Filter;
use crate::names;
use crate::read::Table;

/// Columns by name. A column left at `None` is looked for under the usual names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Parameter count N.
    pub n: Option<String>,
    /// Token count D.
    pub d: Option<String>,
    /// Training compute C in FLOPs, instead of D: D = C / 6N.
    pub flops: Option<String>,
    /// Final loss.
    pub loss: Option<String>,
    /// The run that a point branches from. Points of one trunk are resampled together.
    pub trunk: Option<String>,
    /// Name of the model size, for display.
    pub size: Option<String>,
    /// Random seed of the run.
    pub seed: Option<String>,
    /// Whether the loss was measured at the end of a decay.
    pub decayed: Option<String>,
    /// Conditions that a row must all satisfy.
    pub filters: Vec<Filter>,
}

/// The points of a table, with an account of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// In the order of the rows.
    pub points: Vec<Point>,
    /// Number of rows in the file.
    pub rows: usize,
    /// Reasons for leaving rows out, each with the number of rows.
    pub dropped: Vec<(String, usize)>,
    /// Columns read, and how each was interpreted.
    pub columns: Vec<UsedColumn>,
    /// How points were assigned to trunks, as a sentence.
    pub trunks: String,
    /// Number of points not measured at the end of a decay; `None` if the table does not say.
    pub undecayed: Option<usize>,
    /// Columns in which otherwise equal runs differ, so that one law should perhaps not be fitted to all of them.
    pub mixed: Vec<MixedColumn>,
}

/// A column that takes several values among points that agree in everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixedColumn {
    pub column: String,
    /// Its distinct values among the points, in row order.
    pub values: Vec<String>,
}

/// A column that was read, and its interpretation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedColumn {
    /// `N`, `D`, `loss`, `size` or `decayed`.
    pub quantity: &'static str,
    pub column: String,
    /// What the numbers are taken to mean, for display.
    pub meaning: String,
}

/// A table from which no points can be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// A named column does not exist.
    #[error("the table has no column {asked:?}: {}", listed(there))]
    NoSuchColumn {
        /// The name given.
        asked: String,
        /// The columns of the table.
        there: Vec<String>,
    },
    /// No column has one of the usual names.
    #[error(
        "cannot tell which column is {quantity} (looked for {}): name it with {option}. {}",
        tried.join(", "), listed(there)
    )]
    NotFound {
        /// `N`, `D` or `the loss`.
        quantity: &'static str,
        /// Command-line option that names the column.
        option: &'static str,
        /// The usual names, all absent.
        tried: Vec<String>,
        /// The columns of the table.
        there: Vec<String>,
    },
    /// D and C were both named.
    #[error("--d and --flops exclude each other: with --flops, D = C / 6N")]
    TokensAndCompute,
    /// A cell that must hold a positive number does not.
    #[error("row {row} has {column} = {found:?}: expected a finite number above zero (leave rows out with --where)")]
    BadCell {
        /// Row number, counted from 1 without the header.
        row: usize,
        column: String,
        /// The cell's content.
        found: String,
    },
    /// Every row was left out.
    #[error("none of the {rows} rows can be used{}", reasons(dropped))]
    NothingLeft {
        /// Number of rows in the file.
        rows: usize,
        /// Reasons, each with the number of rows.
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
        format!("its columns are {}", columns.join(", "))
    }
}

/// A column and its index.
#[derive(Debug, Clone)]
struct Found {
    index: usize,
    name: String,
}

impl Table {
    /// Extracts the points of a table.
    ///
    /// # Errors
    /// Fails if a column is missing, or a row that satisfies the conditions holds a value that cannot be fitted.
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
        // In the table of a campaign, runs that ended early report the loss of the step they stopped at.
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
                drop(format!("without a value in {}", column.name));
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
            (Some(trunk), _) => format!("points with the same {:?} share a trunk", trunk.name),
            (None, Some(seed)) => format!("points with the same N and {:?} are assumed to share a trunk", seed.name),
            (None, None) => "no column names trunks: points with the same N are assumed to share one".to_owned(),
        };
        let of_a_campaign = ["trunk", "stage", "trial"].iter().all(|name| self.usual(&[name]).is_some());
        let used = |quantity, column: &Found, meaning: &str| UsedColumn {
            quantity,
            column: column.name.clone(),
            meaning: meaning.to_owned(),
        };
        let meaning_of_d = if is_compute { "compute C; D = C / 6N" } else { "tokens, as the table counts them" };
        let mut columns = vec![
            used("N", &n, names::meaning_of_n(&n.name, of_a_campaign)),
            used("D", &amount, meaning_of_d),
            used("loss", &loss, "in the table's unit, nats if the coefficients are to be"),
        ];
        columns.extend(size.as_ref().map(|column| used("size", column, "name of the model size")));
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

    /// The columns in which runs of one N differ. Leaves out a column that varies only together with an earlier one,
    /// and columns that are already used or filtered on.
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

    /// The column that gives the amount of data, and whether it holds compute C instead of tokens D.
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

/// Names a size by its parameter count, to three digits.
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
