//! Finding the law that an argument names.

use std::path::Path;

use anyhow::{Context, anyhow};
use client::{FittedTable, Measured, fit_table, names_a_file, names_a_table};
use report::{AnyFit, Conclusion, FitFile};
use scaling::{Form, KaplanLaw, ScalingLaw};
use tables::Choice;

use super::PROGRAM;
use super::reach::with_reader;
use crate::args::{Global, LawArgs};
use crate::exit::{OrBadInput, bad_input};

/// The fit named by an argument (a `fit.json`, a table, or a campaign), with notes on a table's rows.
pub(crate) fn find(args: &LawArgs, global: &Global) -> anyhow::Result<(AnyFit, Vec<String>)> {
    let LawArgs { fit: source, fitting, coordinator } = args;
    let options = fitting.options();
    let columns = Choice::default();
    if names_a_table(source) {
        return Ok(match fitting.form() {
            Form::Minicpm => {
                let FittedTable { fit, notes } =
                    fit_table::<ScalingLaw>(source, &columns, &options, PROGRAM).or_bad_input()?;
                (boxed(fit.fit_file()), notes)
            }
            Form::Kaplan => {
                let FittedTable { fit, notes } =
                    fit_table::<KaplanLaw>(source, &columns, &options, PROGRAM).or_bad_input()?;
                (AnyFit::Kaplan(Box::new(fit.fit_file())), notes)
            }
        });
    }
    if Path::new(source).extension().is_some_and(|ending| ending == "json") {
        if let Some(option) = fitting.given() {
            return Err(bad_input(anyhow!(
                "{source} is already fitted: {option} applies only to tables and campaigns"
            )));
        }
        let text =
            std::fs::read_to_string(source).with_context(|| format!("{source} cannot be read")).or_bad_input()?;
        let fit = AnyFit::parse(&text).with_context(|| format!("{source} cannot be used")).or_bad_input()?;
        return Ok((fit, Vec::new()));
    }
    if names_a_file(source, "toml") {
        return Err(bad_input(anyhow!(
            "{source} is a recipe and has no losses: give a fit.json, a .csv, .tsv, .jsonl or .parquet file, or the \
             name of a campaign"
        )));
    }
    if fitting.form() != Form::Minicpm {
        return Err(bad_input(anyhow!(
            "--form applies only to tables, and {source:?} is a campaign: give its points.csv"
        )));
    }
    let measured =
        with_reader(global, coordinator, async |campaigns| Ok(Measured::fetch(campaigns, source, PROGRAM).await?))?;
    Ok((boxed(Conclusion::of(measured.campaign, &options).fit_file()), Vec::new()))
}

fn boxed(file: FitFile) -> AnyFit {
    AnyFit::Minicpm(Box::new(file))
}
