//! `windtunnel predict`

use report::{AnyFit, FitFile};
use scaling::{FAR, Law, Predicted};
use serde::Serialize;
use vocabulary::text::wrapped;
use vocabulary::units::human_count;

use crate::args::numbers::{Several, quantities};
use crate::args::{Global, LawArgs};
use crate::exit::{Exit, OrBadInput};
use crate::local::law::find;
use crate::views::law::{about, beyond, interval};
use crate::views::output::{self, View, columns};

/// Predict the loss of an untrained model from a fitted law
///
/// The interval is for the mean loss at that N and D. A single model also varies with its seed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel predict out/quickstart/fit.json --n 2.4b --d 1.1t
  windtunnel predict table.csv --n 1b,3b --d 100b,1t --json")]
pub(crate) struct Args {
    #[command(flatten)]
    law: LawArgs,

    /// N, parameters as counted by the fit; may be a list
    #[arg(long, required = true, value_name = "COUNT", value_parser = quantities, num_args = 1..)]
    n: Vec<Several<f64>>,

    /// D, tokens; may be a list
    #[arg(long, required = true, value_name = "COUNT", value_parser = quantities, num_args = 1..)]
    d: Vec<Several<f64>>,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match find(&self.law, global)? {
            AnyFit::Minicpm(fit) => self.print(&fit, global),
            AnyFit::Kaplan(fit) => self.print(&fit, global),
        }
    }

    fn print<L: Law>(&self, fit: &FitFile<L>, global: &Global) -> anyhow::Result<Exit> {
        let predictor = fit.predictor().or_bad_input()?;
        let (sizes, amounts) = (Several::all(&self.n), Several::all(&self.d));
        let predictions: Vec<Predicted> = sizes
            .iter()
            .flat_map(|&n| amounts.iter().map(move |&d| (n, d)))
            .map(|(n, d)| predictor.predict(n, d))
            .collect();
        let far = |beyond: fn(&Predicted) -> f64| predictions.iter().map(beyond).fold(1.0, f64::max);
        let mut warnings = beyond(far(|predicted| predicted.beyond_n), far(|predicted| predicted.beyond_d));
        warnings.extend(about(fit, predictions.iter().any(|predicted| predicted.interval.is_none())));
        let level = fit.settings.bootstrap.unwrap_or_default().level;
        output::print(
            &Predictions {
                form: fit.form.clone(),
                parameters: fit.parameters,
                unit: fit.fitted.unit.clone(),
                level,
                predictions,
                warnings,
            },
            global.json,
        )?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Serialize)]
struct Predictions<L: Law> {
    form: String,
    parameters: Option<L>,
    /// Of the losses; absent where a table does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    level: f64,
    predictions: Vec<Predicted>,
    warnings: Vec<String>,
}

impl<L: Law> View for Predictions<L> {
    fn table(&self) -> String {
        let rows: Vec<[String; 4]> = self
            .predictions
            .iter()
            .map(|at| {
                let far = if at.beyond_n.max(at.beyond_d) > FAR {
                    " far beyond"
                } else if at.beyond_n.max(at.beyond_d) > 1.0 {
                    " beyond"
                } else {
                    ""
                };
                [
                    human_count(at.n),
                    human_count(at.d),
                    format!("{:.4}", at.loss),
                    format!("{}{far}", interval(at.interval, |value| format!("{value:.4}"))),
                ]
            })
            .collect();
        let interval = format!("{:.0}% interval", 100.0 * self.level);
        let mut text = columns([" N", " D", " loss", interval.as_str()], &rows);
        text.extend(self.unit.iter().map(|unit| format!("losses in {unit}\n")));
        self.warnings.iter().for_each(|warning| text.push_str(&wrapped(&format!("note: {warning}"), 2)));
        text
    }
}
