//! Laws fitted to tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use report::{Column, Dropped, Source, TableFit};
use scaling::{AnalysisOptions, FitError, Law, Point, Resample, Warning, analyse_law};
use tables::{Choice, Chosen, Filter, MixedColumn};

/// Why a table cannot be fitted. All are errors in the request.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] tables::ReadError),
    /// Its rows yield no points.
    #[error("{file} cannot be fitted")]
    NoPoints {
        file: String,
        /// The cause.
        #[source]
        source: tables::ChoiceError,
    },
    /// Resampling seeds needs a size with several trunks.
    #[error(
        "{file} cannot be fitted: --resample seeds needs a size with several trunks, and no size has more than one"
    )]
    NoSeeds { file: String },
    /// Its points determine no law.
    #[error("{file} cannot be fitted")]
    NoLaw {
        file: String,
        /// The cause.
        #[source]
        source: FitError,
    },
}

/// Whether a word names a table file rather than a campaign, judged by its extension, so that a missing file is not mistaken
/// for a campaign.
#[must_use]
pub fn names_a_table(source: &str) -> bool {
    let ending = Path::new(source).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ["csv", "tsv", "jsonl", "ndjson", "parquet"].contains(&ending.as_str()))
}

/// Whether a word names a file with this extension. A campaign's name may contain a dot, so the word must contain a path
/// separator or name an existing file.
#[must_use]
pub fn names_a_file(source: &str, ending: &str) -> bool {
    Path::new(source).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
        && (source.contains(std::path::is_separator) || Path::new(source).is_file())
}

/// A fitted table, with notes on its rows.
#[derive(Debug, Clone)]
pub struct FittedTable<L> {
    pub fit: TableFit<L>,
    /// Notes that are not part of the fit, one sentence each.
    pub notes: Vec<String>,
}

/// The points of a table, and where they come from.
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

/// A note on runs that the table mixes.
fn note(MixedColumn { column, values }: &MixedColumn) -> String {
    let named = |value: &String| if value.is_empty() { "(none)".to_owned() } else { value.clone() };
    let first: Vec<String> = values.iter().take(4).map(named).collect();
    format!(
        "one law is fitted to points with {} different values of {column} ({}{}): choose one with `fit --where \
         '{column}={}'`",
        values.len(),
        first.join(", "),
        if values.len() > first.len() { ", ..." } else { "" },
        values.iter().find(|value| !value.is_empty()).map_or("", String::as_str),
    )
}

/// Fits a law to a table. `program` is named in the result, for example `windtunnel 0.1.0`.
///
/// # Errors
/// The file cannot be read, or its points determine no law.
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
    // fit.json and the report have no other place for this.
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
