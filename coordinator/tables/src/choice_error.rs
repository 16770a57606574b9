//! Why no points can be taken from a table.

use vocabulary::text::listed;

/// A table from which no points can be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// A named column does not exist.
    #[error("the table has no column {asked:?}: {}", there_are(there))]
    NoSuchColumn {
        /// The name given.
        asked: String,
        /// The columns of the table.
        there: Vec<String>,
    },
    /// No column has one of the usual names.
    #[error(
        "cannot tell which column is {quantity} (no name such as {}): name it with {option}. {}{hint}",
        tried.join(", "), there_are(there)
    )]
    NotFound {
        /// `N`, `D` or `the loss`.
        quantity: &'static str,
        /// Command-line option that names the column.
        option: &'static str,
        /// Some of the usual names, all absent.
        tried: Vec<String>,
        /// The columns of the table.
        there: Vec<String>,
        /// What its shape suggests; may be empty.
        hint: String,
    },
    /// Several columns have one of the usual names, or the name that was given.
    #[error("{why}: {}. Choose with {}", listed(candidates), options(option, choices))]
    Ambiguous {
        /// What was looked for.
        quantity: &'static str,
        /// Command-line option that names the column.
        option: &'static str,
        /// What is not certain.
        why: String,
        /// The columns, each with a value.
        candidates: Vec<String>,
        /// The names by which the option takes them.
        choices: Vec<String>,
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
    /// A count is written as a percentage.
    #[error("row {row} has {column} = {found:?}: a percentage is not a count")]
    Percentage {
        /// Row number, counted from 1 without the header.
        row: usize,
        column: String,
        /// The cell's content.
        found: String,
    },
    /// A comma or a point may separate thousands or begin a fraction.
    #[error(
        "row {row} has {column} = {found:?}, where the {} may begin a fraction or separate thousands, and no other number \
         of the table tells: write {} or {}",
        if found.contains(',') { "comma" } else { "point" },
        found.replace([',', '.'], "."), found.replace([',', '.'], "")
    )]
    Undecided {
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

impl ChoiceError {
    /// Whether an option of `fit` is the remedy.
    #[must_use]
    pub fn names_an_option(&self) -> bool {
        !matches!(self, Self::Percentage { .. } | Self::Undecided { .. } | Self::NothingLeft { .. })
    }
}

fn options(option: &str, choices: &[String]) -> String {
    let choices: Vec<String> = choices.iter().map(|name| format!("{option} '{name}'")).collect();
    choices.join(" or ")
}

fn reasons(dropped: &[(String, usize)]) -> String {
    dropped.iter().map(|(reason, rows)| format!("; {rows} {reason}")).collect()
}

fn there_are(columns: &[String]) -> String {
    if columns.is_empty() {
        "the table has no columns".to_owned()
    } else {
        format!("its columns are {}", columns.join(", "))
    }
}
