//! Fits of tables, and laws that can be asked: what `fit`, `predict` and `optimal` have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow};
use report::{AnyFit, Column, Dropped, FitFile, Source, TableFit};
use scaling::{
    AnalysisOptions, BootstrapOptions, FitOptions, Form, KaplanLaw, Law, Objective, Point, Resample, ScalingLaw,
    Warning, analyse_law,
};
use tables::{Choice, Chosen, Filter, MixedColumn};

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::exit::{OrBadInput, bad_input};
use crate::results::Campaign;

/// What makes this, in a `fit.json`.
const PROGRAM: &str = concat!("windtunnel ", env!("CARGO_PKG_VERSION"));

/// Which columns of a table hold what. None of them is needed where the names are the usual ones.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TableArgs {
    /// The column of N, parameters [default: n, params, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    n: Option<String>,

    /// The column of D, tokens [default: d, tokens, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    d: Option<String>,

    /// The column of the compute C in place of D: D = C / 6N
    #[arg(long, value_name = "COLUMN", conflicts_with = "d", help_heading = "Tables")]
    flops: Option<String>,

    /// The column of the loss [default: loss, final_loss, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    loss: Option<String>,

    /// The column that names the run a point branches from [default: trunk; else points of one N share one]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    trunk: Option<String>,

    /// The column of what a size is called [default: size]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    size: Option<String>,

    /// The column of the seed; without trunks, points of one N and seed share one [default: seed]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    seed: Option<String>,

    /// The column that says whether a loss is from the end of a decay [default: decayed]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    decayed: Option<String>,

    /// Only rows that meet this: COLUMN=VALUE, or with !=, <, <=, > or >=; several must all hold
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Tables")]
    filters: Vec<Filter>,
}

/// How a law is fitted.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FitArgs {
    /// The threshold of Huber's function of the residual of log L [default: 1e-3]
    #[arg(long, value_name = "DELTA", conflicts_with = "least_squares", help_heading = "Fit")]
    huber: Option<f64>,

    /// Minimise squares of the residual of L instead
    #[arg(long, help_heading = "Fit")]
    least_squares: bool,

    /// The form of the law: minicpm (a sum and a constant, Chinchilla's) or kaplan (tables only) [default: minicpm]
    #[arg(long, help_heading = "Fit")]
    form: Option<Form>,

    /// What counts as a sample: trunks, seeds (trunks drawn within their size), or points, for tables that have no trunks
    /// [default: trunks]
    #[arg(long, value_name = "UNIT", value_parser = resample, help_heading = "Fit")]
    resample: Option<Resample>,

    /// Draws of the bootstrap [default: 1000]
    #[arg(long, value_name = "COUNT", help_heading = "Fit")]
    draws: Option<usize>,
}

fn resample(text: &str) -> Result<Resample, String> {
    match text {
        "trunks" => Ok(Resample::Trunks),
        "seeds" => Ok(Resample::Seeds),
        "points" => Ok(Resample::Points),
        _ => Err("trunks, seeds or points".to_owned()),
    }
}

impl TableArgs {
    fn choice(&self) -> Choice {
        let Self { n, d, flops, loss, trunk, size, seed, decayed, filters } = self.clone();
        Choice { n, d, flops, loss, trunk, size, seed, decayed, filters }
    }

    /// Whether anything is said that only a table has.
    pub(crate) fn is_given(&self) -> bool {
        self.choice() != Choice::default()
    }
}

impl FitArgs {
    /// The form of the law.
    pub(crate) fn form(&self) -> Form {
        self.form.unwrap_or(Form::Minicpm)
    }

    /// The first option that was given.
    fn given(&self) -> Option<&'static str> {
        let Self { huber, least_squares, form, resample, draws } = self;
        let given = [
            (form.is_some(), "--form"),
            (huber.is_some(), "--huber"),
            (*least_squares, "--least-squares"),
            (resample.is_some(), "--resample"),
            (draws.is_some(), "--draws"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    pub(crate) fn options(&self) -> AnalysisOptions {
        let objective = match (self.least_squares, self.huber) {
            (true, _) => Objective::LeastSquares,
            (false, Some(delta)) => Objective::Huber { delta },
            (false, None) => Objective::default(),
        };
        let bootstrap = BootstrapOptions {
            draws: self.draws.unwrap_or(1000),
            resample: self.resample.unwrap_or(Resample::Trunks),
            ..BootstrapOptions::default()
        };
        AnalysisOptions { fit: FitOptions { objective }, bootstrap, budgets: Vec::new() }
    }
}

/// Whether a word names a file of a table rather than a campaign: by its ending, so that a table that is not there is not
/// looked for among the campaigns.
pub(crate) fn names_a_table(source: &str) -> bool {
    let ending = Path::new(source).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ["csv", "tsv", "jsonl", "ndjson", "parquet"].contains(&ending.as_str()))
}

/// Whether a word names a file of that ending: a campaign's name may have a dot, but what lies in a folder or is there is
/// a file.
pub(crate) fn names_a_file(source: &str, ending: &str) -> bool {
    Path::new(source).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
        && (source.contains(std::path::is_separator) || Path::new(source).is_file())
}

/// A fitted table, and what is to be said of its rows beside the fit.
pub(crate) struct OfTable<L> {
    pub(crate) fit: TableFit<L>,
    pub(crate) notes: Vec<String>,
}

/// The points of a table, and where they are from.
struct Read {
    points: Vec<Point>,
    source: Source,
    warning: Option<Warning>,
    mixed: Vec<MixedColumn>,
}

fn read_table(file: &str, columns: &TableArgs) -> anyhow::Result<Read> {
    let choice = columns.choice();
    let table = tables::read(Path::new(file)).or_bad_input()?;
    let Chosen { points, rows, dropped, columns, trunks, undecayed, mixed } =
        table.choose(&choice).with_context(|| format!("{file} cannot be fitted")).or_bad_input()?;
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

/// Fits a law of a form to a table.
pub(crate) fn fit_table<L: Law>(
    file: &str,
    columns: &TableArgs,
    options: &AnalysisOptions,
) -> anyhow::Result<OfTable<L>> {
    let Read { points, mut source, warning, mixed } = read_table(file, columns)?;
    match options.bootstrap.resample {
        Resample::Trunks => {}
        Resample::Seeds if !has_seeds(&points) => {
            let message = "--resample seeds needs a size with several trunks, and no size has more than one";
            return Err(bad_input(anyhow!("{file} cannot be fitted: {message}")));
        }
        Resample::Seeds => source.trunks.push_str(", and are drawn within their size"),
        Resample::Points => "each point is taken to be a run of its own".clone_into(&mut source.trunks),
    }
    // A fit.json and a report have no other place for it.
    for MixedColumn { column, values } in &mixed {
        source.trunks.push_str(&format!("; {} different values of {column} are fitted as one", values.len()));
    }
    let mut analysis =
        analyse_law::<L>(&points, options).with_context(|| format!("{file} cannot be fitted")).or_bad_input()?;
    analysis.warnings.splice(0..0, warning);
    Ok(OfTable {
        fit: TableFit { source, analysis, program: PROGRAM.to_owned() },
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

/// The fit that a word means, a `fit.json`, a table, or a campaign's name, and what is to be said of a table's rows.
pub(crate) fn find(
    source: &str,
    fitting: &FitArgs,
    coordinator: &CoordinatorArgs,
    global: &Global,
) -> anyhow::Result<(AnyFit, Vec<String>)> {
    let options = fitting.options();
    let columns = TableArgs::default();
    if names_a_table(source) {
        return Ok(match fitting.form() {
            Form::Minicpm => {
                let OfTable { fit, notes } = fit_table::<ScalingLaw>(source, &columns, &options)?;
                (boxed(fit.fit_file()), notes)
            }
            Form::Kaplan => {
                let OfTable { fit, notes } = fit_table::<KaplanLaw>(source, &columns, &options)?;
                (AnyFit::Kaplan(Box::new(fit.fit_file())), notes)
            }
        });
    }
    if Path::new(source).extension().is_some_and(|ending| ending == "json") {
        if let Some(option) = fitting.given() {
            return Err(bad_input(anyhow!(
                "{source} is fitted already, and {option} says how to fit: it is for tables and campaigns"
            )));
        }
        let text =
            std::fs::read_to_string(source).with_context(|| format!("{source} cannot be read")).or_bad_input()?;
        let fit = AnyFit::parse(&text).with_context(|| format!("{source} cannot be used")).or_bad_input()?;
        return Ok((fit, Vec::new()));
    }
    if names_a_file(source, "toml") {
        return Err(bad_input(anyhow!(
            "{source} is a recipe, and has no losses: accepted is a fit.json, a .csv, .tsv, .jsonl or .parquet file, or \
             the name of a campaign"
        )));
    }
    if fitting.form() != Form::Minicpm {
        return Err(bad_input(anyhow!("--form is for tables, and {source:?} is a campaign: name its points.csv")));
    }
    let fetched = with_coordinator(global, coordinator, async |campaigns| Campaign::fetch(campaigns, source).await)?;
    Ok((boxed(fetched.fit(report::AVERAGE, report::Unit::Token, &options)?.into_file()), Vec::new()))
}

fn boxed(file: FitFile) -> AnyFit {
    AnyFit::Minicpm(Box::new(file))
}

/// A number with a unit as people write it: `2.4b`, `1.1T`, `500k`, `1e21`.
pub(crate) fn quantity(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let units = [('k', 1e3), ('m', 1e6), ('b', 1e9), ('g', 1e9), ('t', 1e12)];
    let unit =
        |last: char| units.iter().find(|(unit, _)| *unit == last.to_ascii_lowercase()).map(|(_, factor)| *factor);
    let (digits, factor) = match trimmed.chars().last().and_then(unit) {
        Some(factor) => (&trimmed[..trimmed.len() - 1], factor),
        None => (trimmed, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value * factor),
        _ => Err("a number above zero, with k, m, b or t behind it where you like: 2.4b, 1e21".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (text, value) in [("2.4b", 2.4e9), ("1.1T", 1.1e12), ("500k", 5e5), ("1e21", 1e21), ("7", 7.0)] {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for wrong in ["", "b", "-1", "0", "nan", "inf", "1.2.3", "2 µ"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }
}
