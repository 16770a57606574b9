//! Finding the law that an argument names.

use anyhow::{Context, anyhow};
use client::{Measured, Named, TableError, fit_table};
use report::{AnyFit, Conclusion, FitFile};
use scaling::{Form, KaplanLaw, ScalingLaw};
use tables::Choice;

use super::PROGRAM;
use super::reach::with_reader;
use crate::args::{Global, LawArgs};
use crate::exit::{OrBadInput, bad_input};

/// The fit named by an argument: a `fit.json`, a table, or a campaign.
pub(crate) fn find(args: &LawArgs, global: &Global) -> anyhow::Result<AnyFit> {
    let LawArgs { fit: source, fitting, loss, .. } = args;
    let options = fitting.options();
    let columns = Choice::default();
    let advice = "give a fit.json, a table, or the name of a campaign";
    let named = Named::of(source).or_bad_input()?;
    if let Some(option) = loss.given().filter(|_| !matches!(named, Named::Campaign | Named::Absent)) {
        return Err(bad_input(anyhow!(
            "{option} applies to campaigns, and {source} is not one: its loss is the one that was fitted"
        )));
    }
    match named {
        Named::Table => {
            if let Some(refusal) = fitting.refused_by_table(source) {
                return Err(bad_input(anyhow!("{refusal}")));
            }
            let table = |error| bad_input(with_remedy(error, source));
            return Ok(match fitting.form() {
                Form::Minicpm => {
                    let fit = fit_table::<ScalingLaw>(source, &columns, &options, PROGRAM).map_err(table)?;
                    boxed(fit.fit_file())
                }
                Form::Kaplan => {
                    let fit = fit_table::<KaplanLaw>(source, &columns, &options, PROGRAM).map_err(table)?;
                    AnyFit::Kaplan(Box::new(fit.fit_file()))
                }
            });
        }
        Named::Fit(text) => {
            if let Some(option) = fitting.given() {
                return Err(bad_input(anyhow!(
                    "{source} is already fitted: {option} applies only to tables and campaigns"
                )));
            }
            return AnyFit::parse(&text).with_context(|| format!("{source} cannot be used")).or_bad_input();
        }
        Named::Recipe => return Err(bad_input(anyhow!("{source} is a recipe and has no losses: {advice}"))),
        Named::Absent => return find_campaign(args, global).map_err(|error| neither(source, error)),
        Named::Campaign => {}
    }
    find_campaign(args, global)
}

/// Why a word with the ending of a table, for which there is no file, is the name of nothing.
pub(crate) fn neither(source: &str, error: anyhow::Error) -> anyhow::Error {
    error.context(format!("there is no file {source}, and no campaign of this name can be used"))
}

/// The fit of a campaign.
fn find_campaign(args: &LawArgs, global: &Global) -> anyhow::Result<AnyFit> {
    let LawArgs { fit: source, fitting, loss, coordinator } = args;
    let options = fitting.options();
    if fitting.form() != Form::Minicpm {
        return Err(bad_input(anyhow!(
            "--form applies only to tables, and {source:?} is a campaign: give its points.csv"
        )));
    }
    let measured =
        with_reader(global, coordinator, async |campaigns| Ok(Measured::fetch(campaigns, source, PROGRAM).await?))?;
    let measure = loss.of(&measured.campaign.plan).or_bad_input()?;
    let conclusion = Conclusion::with(
        measured.campaign,
        &options,
        measure,
        fitting.counting.counting(),
        fitting.counting.repeated(),
    );
    Ok(boxed(conclusion.fit_file()))
}

/// The error of a table, with how to choose its columns, which only `fit` can.
fn with_remedy(error: TableError, source: &str) -> anyhow::Error {
    let is_of_columns = matches!(&error, TableError::NoPoints { source, .. } if source.names_an_option());
    let error = anyhow::Error::new(error);
    if !is_of_columns {
        return error;
    }
    error.context(format!(
        "such options are those of `windtunnel fit`: run `windtunnel fit {source} --out DIR` with them, then give \
         DIR/fit.json instead of the table"
    ))
}

fn boxed(file: FitFile) -> AnyFit {
    AnyFit::Minicpm(Box::new(file))
}
