//! Laws fitted to the tables that people bring.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use report::{Column, Dropped, Source, TableFit};
use scaling::{AnalysisOptions, FitError, Law, Point, Resample, Warning, analyse_law};
use tables::{Choice, Chosen, Filter, MixedColumn};

/// Why a table has no fit. Whoever asked can ask for something else.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] tables::ReadError),
    /// Its rows are no points.
    #[error("{file} cannot be fitted")]
    NoPoints {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: tables::ChoiceError,
    },
    /// Draws of trunks within a size, of which there is one.
    #[error(
        "{file} cannot be fitted: --resample seeds needs a size with several trunks, and no size has more than one"
    )]
    NoSeeds {
        /// The file.
        file: String,
    },
    /// Its points determine no law.
    #[error("{file} cannot be fitted")]
    NoLaw {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: FitError,
    },
}

/// Whether a word names a file of a table rather than a campaign: by its ending, so that a table that is not there is not
/// looked for among the campaigns.
#[must_use]
pub fn names_a_table(source: &str) -> bool {
    let ending = Path::new(source).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ["csv", "tsv", "jsonl", "ndjson", "parquet"].contains(&ending.as_str()))
}

/// Whether a word names a file of that ending: a campaign's name may have a dot, but what lies in a folder or is there is
/// a file.
#[must_use]
pub fn names_a_file(source: &str, ending: &str) -> bool {
    Path::new(source).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
        && (source.contains(std::path::is_separator) || Path::new(source).is_file())
}

/// A fitted table, and what is to be said of its rows beside the fit.
#[derive(Debug, Clone)]
pub struct FittedTable<L> {
    /// The fit.
    pub fit: TableFit<L>,
    /// What the fit does not say: a sentence each.
    pub notes: Vec<String>,
}

/// The points of a table, and where they are from.
struct Read {
    points: Vec<Point>,
    source: Source,
    warning: Option<Warning>,
    mixed: Vec<MixedColumn>,
}

fn read_table(file: &str, choice: &Choice) -> Result<Read, TableError> {
    let table = tables::read(Path::new(file))?;
    let Chosen { points, rows, dropped, columns, trunks, undecayed, mixed } =
        table.choose(choice).map_err(|source| TableError::NoPoints { file: file.to_owned(), source })?;
    let decayed = match undecayed {
        None => "the table does not say which losses are from the end of a decay".to_owned(),
        Some(0) => "all from the end of a decay, says the table".to_owned(),
        Some(count) => format!("{count} not from the end of a decay"),
    };
    let source = Source {
        file: file.to_owned(),
        rows,
        dropped: dropped.into_iter().map(|(reason, rows)| Dropped { reason, rows }).collect(),
        columns: columns
            .into_iter()
            .map(|column| Column {
                quantity: column.quantity.to_owned(),
                column: column.column,
                meaning: column.meaning,
            })
            .collect(),
        filters: choice.filters.iter().map(Filter::to_string).collect(),
        trunks,
        decayed,
    };
    let warning =
        undecayed.filter(|count| *count > 0).map(|count| Warning::Undecayed { points: count, of: points.len() });
    Ok(Read { points, source, warning, mixed })
}

/// How to fit runs by themselves that a table has side by side.
fn note(MixedColumn { column, values }: &MixedColumn) -> String {
    let named = |value: &String| if value.is_empty() { "(none)".to_owned() } else { value.clone() };
    let first: Vec<String> = values.iter().take(4).map(named).collect();
    format!(
        "the points have {} different values of {column} ({}{}), and one law is fitted to all: choose one with `fit --where \
         '{column}={}'`",
        values.len(),
        first.join(", "),
        if values.len() > first.len() { ", ..." } else { "" },
        values.iter().find(|value| !value.is_empty()).map_or("", String::as_str),
    )
}

/// Fits a law of a form to a table. `program` is what the fit says made it, for example `windtunnel 0.1.0`.
///
/// # Errors
/// Where the file cannot be read, or its points determine no law.
pub fn fit_table<L: Law>(
    file: &str,
    choice: &Choice,
    options: &AnalysisOptions,
    program: &str,
) -> Result<FittedTable<L>, TableError> {
    let Read { points, mut source, warning, mixed } = read_table(file, choice)?;
    match options.bootstrap.resample {
        Resample::Trunks => {}
        Resample::Seeds if !has_seeds(&points) => return Err(TableError::NoSeeds { file: file.to_owned() }),
        Resample::Seeds => source.trunks.push_str(", and are drawn within their size"),
        Resample::Points => "each point is taken to be a run of its own".clone_into(&mut source.trunks),
    }
    // A fit.json and a report have no other place for it.
    for MixedColumn { column, values } in &mixed {
        source.trunks.push_str(&format!("; {} different values of {column} are fitted as one", values.len()));
    }
    let mut analysis =
        analyse_law::<L>(&points, options).map_err(|source| TableError::NoLaw { file: file.to_owned(), source })?;
    analysis.warnings.splice(0..0, warning);
    Ok(FittedTable {
        fit: TableFit { source, analysis, program: program.to_owned() },
        notes: mixed.iter().map(note).collect(),
    })
}

fn has_seeds(points: &[Point]) -> bool {
    let mut trunks: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for point in points {
        trunks.entry(point.n.to_bits()).or_default().insert(&point.trunk);
    }
    trunks.values().any(|trunks| trunks.len() > 1)
}
