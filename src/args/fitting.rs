//! Options of fits: the columns of a table, and the method.

use scaling::{AnalysisOptions, BootstrapOptions, FitOptions, Form, Objective, Resample};
use tables::{Choice, Filter};

use super::CoordinatorArgs;

/// The columns of a table. Unnecessary if they have their usual names.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TableArgs {
    /// Column of N, parameters [default: n, params, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    n: Option<String>,

    /// Column of D, tokens [default: d, tokens, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    d: Option<String>,

    /// Column of the compute C instead of D: D = C / 6N
    #[arg(long, value_name = "COLUMN", conflicts_with = "d", help_heading = "Tables")]
    flops: Option<String>,

    /// Column of the loss [default: loss, final_loss, ...]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    loss: Option<String>,

    /// Column naming the run a point branches from [default: trunk, else points of one N share a trunk]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    trunk: Option<String>,

    /// Column of the size's name [default: size]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    size: Option<String>,

    /// Column of the seed; without trunks, points of one N and seed share a trunk [default: seed]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    seed: Option<String>,

    /// Column telling whether a loss is from the end of a decay [default: decayed]
    #[arg(long, value_name = "COLUMN", help_heading = "Tables")]
    decayed: Option<String>,

    /// Keep only rows with COLUMN=VALUE (or !=, <, <=, >, >=); repeat to combine conditions
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Tables")]
    filters: Vec<Filter>,

    /// Keep only the best setting of each N and D: the lowest loss, or the lowest mean over seeds
    #[arg(long, help_heading = "Tables")]
    best_per_cell: bool,
}

/// The method of a fit.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FitArgs {
    /// Threshold of the Huber loss of the residuals of log L [default: 1e-3]
    #[arg(long, value_name = "DELTA", conflicts_with = "least_squares", help_heading = "Fit")]
    huber: Option<f64>,

    /// Minimise squared residuals of L instead
    #[arg(long, help_heading = "Fit")]
    least_squares: bool,

    /// Form of the law: minicpm (power laws plus a constant, as in Chinchilla) or kaplan (tables only) [default: minicpm]
    #[arg(long, help_heading = "Fit")]
    form: Option<Form>,

    /// Resampling unit: trunks, seeds (trunks within their size) or points (for tables without trunks) [default: trunks]
    #[arg(long, value_name = "UNIT", value_parser = resample, help_heading = "Fit")]
    resample: Option<Resample>,

    /// Bootstrap draws [default: 1000]
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

/// The law to ask, and how it is fitted.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LawArgs {
    /// A fit.json, a table with the usual column names, or a campaign
    pub(crate) fit: String,

    #[command(flatten)]
    pub(crate) fitting: FitArgs,

    #[command(flatten)]
    pub(crate) coordinator: CoordinatorArgs,
}

impl TableArgs {
    /// The columns and conditions.
    pub(crate) fn choice(&self) -> Choice {
        let Self { n, d, flops, loss, trunk, size, seed, decayed, filters, best_per_cell } = self.clone();
        Choice { n, d, flops, loss, trunk, size, seed, decayed, filters, best_per_cell }
    }

    /// Whether any table option is given.
    pub(crate) fn is_given(&self) -> bool {
        self.choice() != Choice::default()
    }
}

impl FitArgs {
    /// The form of the law.
    pub(crate) fn form(&self) -> Form {
        self.form.unwrap_or(Form::Minicpm)
    }

    /// The first option given, if any.
    pub(crate) fn given(&self) -> Option<&'static str> {
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

    /// The same as options of the analysis.
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
