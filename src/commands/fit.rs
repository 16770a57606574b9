//! `windtunnel fit`

use std::path::PathBuf;

use anyhow::anyhow;
use client::{Measured, Named, fit_table};
use report::{Conclusion, TableFit};
use scaling::{Form, KaplanLaw, Law, ScalingLaw};
use serde::Serialize;
use tables::ENDINGS;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::args::{FitArgs, LossArgs, TableArgs};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::PROGRAM;
use crate::local::data_dir::WritableDir;
use crate::local::reach::with_reader;
use crate::views::FitView;
use crate::views::output::{self, View};

/// Fit the scaling law to a campaign or a table, and print it
///
/// Trains nothing, and writes nothing without --out. A table is a .csv, .tsv, .jsonl, .json or .parquet file; text may be
/// packed as .gz or .zst.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel fit quickstart
  windtunnel fit quickstart --json
  windtunnel fit two-stage --set code --per byte
  windtunnel fit table.csv --n params --d tokens --loss loss --huber 1e-3
  windtunnel fit sweep.csv --best-per-cell --out out/sweep")]
pub(crate) struct Args {
    /// Campaign (name, identifier or prefix) or table file
    source: String,

    /// Directory for a table's fit.json and report.html [default: none]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    fit: FitArgs,

    #[command(flatten)]
    loss: LossArgs,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let is = match (Named::of(&self.source).or_bad_input()?, self.fit.form()) {
            (Named::Table, Form::Minicpm) => return self.fit_table::<ScalingLaw>(global),
            (Named::Table, Form::Kaplan) => return self.fit_table::<KaplanLaw>(global),
            (Named::Campaign, form) => return self.fit_campaign(form, global),
            (Named::Fit(_), _) => "already fitted: use `predict` or `optimal`",
            (Named::Recipe, _) => "a recipe and has no losses",
        };
        Err(bad_input(anyhow!("{} is {is}. Give a campaign, or a table that ends in {ENDINGS}", self.source)))
    }

    fn fit_table<L: Law>(self, global: &Global) -> anyhow::Result<Exit> {
        if let Some(refusal) = self.fit.refused_by_table(&self.source) {
            return Err(bad_input(anyhow!("{refusal}")));
        }
        if self.fit.repeated {
            return Err(bad_input(anyhow!(
                "--repeated applies to campaigns, but {} is a table: all its rows are fitted, or those that --where keeps",
                self.source
            )));
        }
        if let Some(option) = self.loss.given() {
            return Err(bad_input(anyhow!(
                "{option} applies to campaigns, but {} is a table: name its loss column with --loss COLUMN",
                self.source
            )));
        }
        let fit: TableFit<L> =
            fit_table::<L>(&self.source, &self.table.choice(), &self.fit.options(), PROGRAM).or_bad_input()?;
        let written = match &self.out {
            Some(out) => {
                let out = WritableDir::prepare(out, "the directory of results")?;
                let files = fit.write(out.path())?;
                vec![files.fit.display().to_string(), files.report.display().to_string()]
            }
            None => Vec::new(),
        };
        let notes = fit.source.notes.clone();
        output::print(&Fitted { table: fit.table(), written, fit: fit.fit_file(), notes }, global.json)?;
        Ok(Exit::Done)
    }

    fn fit_campaign(self, form: Form, global: &Global) -> anyhow::Result<Exit> {
        let only_tables = [
            (form != Form::Minicpm, "--form"),
            (self.out.is_some(), "--out (`windtunnel report` writes a campaign's files)"),
            (self.table.is_given(), "columns and --where"),
        ];
        if let Some((_, what)) = only_tables.iter().find(|(given, _)| *given) {
            // Only a campaign that there is can be told from a table that there is not.
            let name = &self.source;
            with_reader(global, &self.coordinator, async |campaigns| Ok(campaigns.detail(name).await?))?;
            return Err(bad_input(anyhow!(
                "{:?} is a campaign and not a table, and {what} {} only for tables: fit \
                 its points.csv",
                self.source,
                if what.starts_with("--") { "is" } else { "are" }
            )));
        }
        let name = &self.source;
        let measured = with_reader(global, &self.coordinator, async |campaigns| {
            Ok(Measured::fetch(campaigns, name, PROGRAM).await?)
        })?;
        let measure = self.loss.of(&measured.campaign.plan).or_bad_input()?;
        let (counting, repeated) = (self.fit.counting(), self.fit.repeated());
        let conclusion = Conclusion::with(measured.campaign, &self.fit.options(), measure, counting, repeated);
        output::print(&FitView::from(&conclusion), global.json)?;
        Ok(Exit::Done)
    }
}

/// The printed fit of a table: as JSON, the contents of `fit.json` with the notes on its rows once more at the end.
#[derive(Debug, Serialize)]
struct Fitted<F> {
    #[serde(skip)]
    table: String,
    #[serde(skip)]
    written: Vec<String>,
    #[serde(flatten)]
    fit: F,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl<F: Serialize> View for Fitted<F> {
    fn table(&self) -> String {
        let written: String = self.written.iter().map(|path| format!("{path}\n")).collect();
        format!("{}{written}", self.table)
    }
}
