//! `windtunnel fit`

use std::path::PathBuf;

use anyhow::anyhow;
use report::TableFit;
use scaling::{Form, KaplanLaw, Law, ScalingLaw};
use serde::Serialize;

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::data_dir::WritableDir;
use crate::exit::{Exit, bad_input};
use crate::fitting::{FitArgs, TableArgs, fit_table, names_a_table};
use crate::output::{self, View};
use crate::results::Campaign;

/// Fit the scaling law to the losses of a campaign or of a table, and print it
///
/// Trains nothing, and writes nothing without --out. A table is a .csv, .tsv, .jsonl or .parquet file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel fit quickstart
  windtunnel fit quickstart --json
  windtunnel fit two-stage --set code --per byte
  windtunnel fit table.csv --n params --d tokens --loss loss --huber 1e-3 --out results")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it; or the file of a table
    source: String,

    /// Where to write the table's fit.json and report.html [default: nowhere]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    fit: FitArgs,

    /// The held-out set whose loss is fitted, where the data has several domains, or their mean
    #[arg(long, value_name = "NAME", default_value = report::AVERAGE)]
    set: String,

    /// What the loss is counted in
    #[arg(long, value_enum, default_value_t = Per::Token)]
    per: Per,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Per {
    /// Nats a token
    Token,
    /// Nats a byte, which compares across tokenizers
    Byte,
}

impl From<Per> for report::Unit {
    fn from(per: Per) -> Self {
        match per {
            Per::Token => Self::Token,
            Per::Byte => Self::Byte,
        }
    }
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match (names_a_table(&self.source), self.fit.form) {
            (true, Form::Minicpm) => self.fit_table::<ScalingLaw>(global),
            (true, Form::Kaplan) => self.fit_table::<KaplanLaw>(global),
            (false, form) => self.fit_campaign(form, global),
        }
    }

    fn fit_table<L: Law>(self, global: &Global) -> anyhow::Result<Exit> {
        let fit: TableFit<L> = fit_table(&self.source, &self.table, &self.fit.options())?;
        let written = match &self.out {
            Some(out) => {
                let out = WritableDir::prepare(out, "the directory of results")?;
                let files = fit.write(out.path())?;
                vec![files.fit.display().to_string(), files.report.display().to_string()]
            }
            None => Vec::new(),
        };
        output::print(&Fitted { table: fit.table(), written, fit: fit.fit_file() }, global.json)?;
        Ok(Exit::Done)
    }

    fn fit_campaign(self, form: Form, global: &Global) -> anyhow::Result<Exit> {
        let only_tables = [
            (form != Form::Minicpm, "--form"),
            (self.out.is_some(), "--out (`windtunnel report` writes a campaign's files)"),
            (self.table.is_given(), "columns and --where"),
        ];
        if let Some((_, what)) = only_tables.iter().find(|(given, _)| *given) {
            return Err(bad_input(anyhow!(
                "{:?} is no .csv, .tsv, .jsonl or .parquet file but a campaign, and {what} {} for tables: fit the \
                 campaign's points.csv",
                self.source,
                if what.starts_with("--") { "is" } else { "are" }
            )));
        }
        let name = &self.source;
        let fetched =
            with_coordinator(global, &self.coordinator, async |campaigns| Campaign::fetch(campaigns, name).await);
        output::print(&fetched?.fit(&self.set, self.per.into(), &self.fit.options())?, global.json)?;
        Ok(Exit::Done)
    }
}

/// What is printed of a table's fit: as JSON the contents of `fit.json`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Fitted<F> {
    #[serde(skip)]
    table: String,
    #[serde(skip)]
    written: Vec<String>,
    fit: F,
}

impl<F: Serialize> View for Fitted<F> {
    fn table(&self) -> String {
        let written: String = self.written.iter().map(|path| format!("{path}\n")).collect();
        format!("{}{written}", self.table)
    }
}
