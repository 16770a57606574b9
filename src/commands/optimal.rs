//! `windtunnel optimal`

use anyhow::anyhow;
use report::{AnyFit, Budget, FitFile};
use scaling::Law;
use serde::Serialize;
use vocabulary::numbers::{operations, three_digits};
use vocabulary::text::wrapped;
use vocabulary::units::human_count;

use crate::args::numbers::{Several, quantities};
use crate::args::{Global, LawArgs};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::law::find;
use crate::views::law::{about, beyond, interval};
use crate::views::output::{self, View, columns};

/// Find the compute-optimal model for a budget from a fitted law
///
/// The N and D with the lowest predicted loss such that C = 6ND, or with --flops-as exact such that C pays for every
/// operation of the models.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel optimal out/quickstart/fit.json --flops 1e21
  windtunnel optimal table.csv --flops 1e18 1e19 1e20 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    law: LawArgs,

    /// Budget C in operations; may be a list
    #[arg(long, required = true, value_name = "C", value_parser = quantities, num_args = 1..)]
    flops: Vec<Several<f64>>,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match find(&self.law, global)? {
            AnyFit::Minicpm(fit) => self.print(&fit, global),
            AnyFit::Kaplan(fit) => self.print(&fit, global),
        }
    }

    fn print<L: Law>(&self, fit: &FitFile<L>, global: &Global) -> anyhow::Result<Exit> {
        if let Some(verdict) = &fit.verdict {
            return Err(bad_input(anyhow!("no optimum follows from this law. {verdict}")));
        }
        let predictor = fit.predictor().or_bad_input()?;
        let found: Option<Vec<_>> =
            Several::all(&self.flops).into_iter().map(|flops| predictor.optimum(flops)).collect();
        let Some(found) = found else {
            return Err(bad_input(anyhow!(
                "the law does not fall in both N and D, so no split of the budget is optimal"
            )));
        };
        let (mut far_n, mut far_d) = (1.0_f64, 1.0_f64);
        for optimum in &found {
            let (n, d) = predictor.beyond(optimum.best.n, optimum.best.d);
            (far_n, far_d) = (far_n.max(n), far_d.max(d));
        }
        let mut warnings = beyond(far_n, far_d);
        warnings.extend(about(fit, found.iter().any(|optimum| optimum.n.is_none())));
        let level = fit.settings.bootstrap.unwrap_or_default().level;
        let optima = found.iter().map(Budget::from).collect();
        output::print(
            &Optima {
                form: fit.form.clone(),
                parameters: fit.parameters,
                unit: fit.fitted.unit.clone(),
                level,
                optima,
                warnings,
            },
            global.json,
        )?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Serialize)]
struct Optima<L: Law> {
    form: String,
    parameters: Option<L>,
    /// Of the losses; absent where a table does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    level: f64,
    optima: Vec<Budget>,
    warnings: Vec<String>,
}

impl<L: Law> View for Optima<L> {
    fn table(&self) -> String {
        let rows: Vec<[String; 9]> = self
            .optima
            .iter()
            .map(|at| {
                [
                    format!("{}{}", operations(at.flops), if at.measured { "" } else { "*" }),
                    human_count(at.n),
                    interval(at.n_interval, human_count),
                    human_count(at.d),
                    interval(at.d_interval, human_count),
                    three_digits(at.tokens_per_param),
                    interval(at.tokens_per_param_interval, three_digits),
                    format!("{:.4}", at.loss),
                    interval(at.loss_interval, |value| format!("{value:.4}")),
                ]
            })
            .collect();
        let header = ["C", " N", "interval", " D", "interval", " D/N", "interval", " loss", "interval"];
        let mut text = columns(header, &rows);
        text.push_str(&format!("{:.0}% intervals; * outside the measured N and D\n", 100.0 * self.level));
        text.extend(self.unit.iter().map(|unit| format!("losses in {unit}\n")));
        self.warnings.iter().for_each(|warning| text.push_str(&wrapped(&format!("note: {warning}"), 2)));
        text
    }
}
