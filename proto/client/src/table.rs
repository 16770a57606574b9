//! Laws fitted to tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use report::{Column, Dropped, IsoFlopFit, Source, TableFit};
use scaling::isoflop::{self, IsoError, IsoOptions, IsoPoint};
use scaling::{AnalysisOptions, FitError, Law, Point, Resample, Warning, analyse_law};
use tables::{Choice, Chosen, Filter};

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
        source: Box<tables::ChoiceError>,
    },
    /// Resampling seeds needs a size with several trunks.
    #[error(
        "{file} cannot be fitted: --resample seeds needs a size with several trunks, and no size has more than one"
    )]
    NoSeeds { file: String },
    /// Its points determine no law.
    #[error("{file} cannot be fitted ({columns}){}", notes.iter().map(|note| format!("; note: {note}")).collect::<String>())]
    NoLaw {
        file: String,
        /// Which columns were N, D and the loss.
        columns: String,
        /// What was decided about the table.
        notes: Vec<String>,
        /// The cause.
        #[source]
        source: Box<FitError>,
    },
    /// Its budgets give no frontier.
    #[error("{file} has no isoFLOP frontier ({columns}; budgets are C = 6ND, equal within 1%)")]
    NoFrontier {
        file: String,
        /// Which columns were N, D and the loss.
        columns: String,
        /// The cause.
        #[source]
        source: IsoError,
    },
}

/// The points of a table, and where they come from.
struct Read {
    points: Vec<Point>,
    source: Source,
    warning: Option<Warning>,
}

fn read_table(file: &str, choice: &Choice) -> Result<Read, TableError> {
    let table = tables::read(Path::new(file))?;
    let Chosen { points, rows, dropped, columns, trunks, undecayed, unit, notes } = table
        .choose(choice)
        .map_err(|source| TableError::NoPoints { file: file.to_owned(), source: Box::new(source) })?;
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
        unit: unit.map(str::to_owned),
        notes,
    };
    let warning =
        undecayed.filter(|count| *count > 0).map(|count| Warning::Undecayed { points: count, of: points.len() });
    Ok(Read { points, source, warning })
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
) -> Result<TableFit<L>, TableError> {
    let Read { points, mut source, warning } = read_table(file, choice)?;
    match options.bootstrap.resample {
        Resample::Trunks => {}
        Resample::Seeds if !has_seeds(&points) => return Err(TableError::NoSeeds { file: file.to_owned() }),
        Resample::Seeds => source.trunks.push_str(", and are drawn within their size"),
        Resample::Points => "each point is taken to be a run of its own".clone_into(&mut source.trunks),
    }
    let no_law = |error| TableError::NoLaw {
        file: file.to_owned(),
        columns: source.columns_in_words(),
        notes: source.notes.clone(),
        source: Box::new(error),
    };
    let mut analysis = analyse_law::<L>(&points, options).map_err(no_law)?;
    analysis.warnings.splice(0..0, warning);
    Ok(TableFit { source, analysis, program: program.to_owned() })
}

/// Finds the best size at each budget of a table, and N and D as powers of C = 6ND. `draws` are those of the intervals.
/// `program` is named in the result, for example `windtunnel 0.1.0`.
///
/// # Errors
/// The file cannot be read, or too few budgets have a best size.
pub fn fit_isoflop(file: &str, choice: &Choice, options: &IsoOptions, program: &str) -> Result<IsoFlopFit, TableError> {
    let Read { points, source, .. } = read_table(file, choice)?;
    let of = |point: &Point| IsoPoint { flops: 6.0 * point.n * point.d, n: point.n, d: point.d, loss: point.loss };
    let points: Vec<IsoPoint> = points.iter().map(of).collect();
    let found = isoflop::fit(&points, options).map_err(|error| TableError::NoFrontier {
        file: file.to_owned(),
        columns: source.columns_in_words(),
        source: error,
    })?;
    Ok(IsoFlopFit { table: source, found, program: program.to_owned() })
}

fn has_seeds(points: &[Point]) -> bool {
    let mut trunks: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for point in points {
        trunks.entry(point.n.to_bits()).or_default().insert(&point.trunk);
    }
    trunks.values().any(|trunks| trunks.len() > 1)
}
