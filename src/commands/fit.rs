//! `windtunnel fit`

use std::path::PathBuf;

use anyhow::anyhow;
use client::{Measured, Named, fit_isoflop, fit_table};
use report::{Conclusion, IsoFlopFit, TableFit};
use scaling::isoflop::IsoOptions;
use scaling::{Form, KaplanLaw, Law, ScalingLaw, Through};
use serde::Serialize;
use tables::ENDINGS;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::args::{FitArgs, LossArgs, TableArgs};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::PROGRAM;
use crate::local::data_dir::WritableDir;
use crate::local::law::neither;
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
  windtunnel fit sweep.csv --best-per-cell --out out/sweep
  windtunnel fit budgets.csv --isoflop --flops flops")]
pub(crate) struct Args {
    /// Campaign (name, identifier or prefix) or table file
    source: String,

    /// Directory for a table's fit.json and report.html [default: none]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Instead of a law, find the best size at each budget of a table, and N and D as powers of the budget
    ///
    /// Rows of equal C = 6ND, within 1%, make an isoFLOP curve. Its lowest point is that of a parabola through the five
    /// sizes around the lowest, or of a spline through all.
    #[arg(long, value_enum, value_name = "CURVE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "parabola", help_heading = "Tables")]
    isoflop: Option<Curve>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    fit: FitArgs,

    #[command(flatten)]
    loss: LossArgs,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// What is drawn through the losses of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Curve {
    /// Of the loss over log N, by least squares
    Parabola,
    /// Akima's, of the logarithm of the loss over log N
    Spline,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let is = match (Named::of(&self.source).or_bad_input()?, self.fit.form()) {
            (Named::Table, _) if self.isoflop.is_some() => return self.fit_isoflop(global),
            (Named::Table, Form::Minicpm) => return self.fit_table::<ScalingLaw>(global),
            (Named::Table, Form::Kaplan) => return self.fit_table::<KaplanLaw>(global),
            (Named::Campaign, form) => return self.fit_campaign(form, global),
            (Named::Absent, form) => {
                let source = self.source.clone();
                return self.fit_campaign(form, global).map_err(|error| neither(&source, error));
            }
            (Named::Fit(_), _) => "already fitted: use `predict` or `optimal`",
            (Named::Recipe, _) => "a recipe and has no losses",
        };
        Err(bad_input(anyhow!("{} is {is}. Give a campaign, or a table that ends in {ENDINGS}", self.source)))
    }

    fn fit_table<L: Law>(self, global: &Global) -> anyhow::Result<Exit> {
        if let Some(refusal) = self.fit.refused_by_table(&self.source) {
            return Err(bad_input(anyhow!("{refusal}")));
        }
        if self.fit.counting.repeated {
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

    fn fit_isoflop(self, global: &Global) -> anyhow::Result<Exit> {
        let other = self.out.as_ref().map(|_| "--out").or_else(|| self.fit.given().filter(|given| *given != "--draws"));
        if let Some(other) = other.or_else(|| self.loss.given()) {
            return Err(bad_input(anyhow!(
                "{other} applies to laws of N and D, and --isoflop fits none: leave one out"
            )));
        }
        let through = match self.isoflop {
            Some(Curve::Spline) => Through::Akima,
            Some(Curve::Parabola) | None => IsoOptions::default().through,
        };
        let bootstrap = self.fit.options().bootstrap;
        let options = IsoOptions { through, bootstrap, ..IsoOptions::default() };
        let fit = fit_isoflop(&self.source, &self.table.choice(), &options, PROGRAM).or_bad_input()?;
        output::print(&Frontier { text: fit.table(), fit }, global.json)?;
        Ok(Exit::Done)
    }

    fn fit_campaign(self, form: Form, global: &Global) -> anyhow::Result<Exit> {
        let only_tables = [
            (form != Form::Minicpm, "--form"),
            (self.isoflop.is_some(), "--isoflop"),
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
        let (counting, repeated) = (self.fit.counting.counting(), self.fit.counting.repeated());
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

/// The printed frontier of a table.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Frontier {
    #[serde(skip)]
    text: String,
    fit: IsoFlopFit,
}

impl View for Frontier {
    fn table(&self) -> String {
        self.text.clone()
    }
}

impl<F: Serialize> View for Fitted<F> {
    fn table(&self) -> String {
        let written: String = self.written.iter().map(|path| format!("{path}\n")).collect();
        format!("{}{written}", self.table)
    }
}
