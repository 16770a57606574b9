//! Options of fits: the columns of a table, and the method.

use report::{AVERAGE, CountedFlops, CountedN, Counting, Measure, NoSuchSet, Repeated, Unit};
use scaling::{AnalysisOptions, BootstrapOptions, FitOptions, Form, Objective, Resample};
use tables::{Choice, Filter};
use vocabulary::Plan;

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

    #[command(flatten)]
    pub(crate) counting: CountArgs,
}

/// What N and C count, and which points of a campaign are fitted.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CountArgs {
    /// Fit points of a campaign that repeat training data too, which are left out otherwise
    #[arg(long, help_heading = "Fit")]
    pub(crate) repeated: bool,

    /// Which parameters of a campaign's models N counts [default: non-embedding]
    #[arg(long, value_enum, value_name = "COUNT", help_heading = "Fit")]
    n_as: Option<NAs>,

    /// What a budget C pays for: 6ND, or all operations of a campaign's models [default: 6nd]
    #[arg(long, value_enum, value_name = "COUNT", help_heading = "Fit")]
    flops_as: Option<FlopsAs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NAs {
    /// Without the embedding and the output layer
    NonEmbedding,
    /// With the embedding and the output layer
    Total,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FlopsAs {
    /// 6ND, as scaling-law papers do
    #[value(name = "6nd")]
    SixNd,
    /// With attention and the output layer
    Exact,
}

impl CountArgs {
    /// The same for the conclusions of a campaign.
    pub(crate) fn counting(&self) -> Counting {
        Counting {
            n: if self.n_as == Some(NAs::Total) { CountedN::Total } else { CountedN::NonEmbedding },
            flops: if self.flops_as == Some(FlopsAs::Exact) { CountedFlops::Exact } else { CountedFlops::SixNd },
        }
    }

    /// What becomes of points that repeat data.
    pub(crate) fn repeated(&self) -> Repeated {
        if self.repeated { Repeated::Fitted } else { Repeated::LeftOut }
    }
}

/// The loss of a campaign that is fitted.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LossArgs {
    /// Held-out set to fit, for campaigns with several domains [default: average]
    #[arg(long, value_name = "NAME")]
    set: Option<String>,

    /// Unit of a campaign's loss [default: token]
    #[arg(long, value_enum)]
    per: Option<Per>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Per {
    /// Nats a token
    Token,
    /// Nats a byte, comparable across tokenizers
    Byte,
}

impl LossArgs {
    /// The first option given, if any.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [(self.set.is_some(), "--set"), (self.per.is_some(), "--per")];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// The loss, among those of a campaign.
    pub(crate) fn of(&self, plan: &Plan) -> Result<Measure, NoSuchSet> {
        let unit = match self.per {
            Some(Per::Byte) => Unit::Byte,
            Some(Per::Token) | None => Unit::Token,
        };
        Measure::named(plan, self.set.as_deref().unwrap_or(AVERAGE), unit)
    }
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
    pub(crate) loss: LossArgs,

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
        let Self { huber, least_squares, form, resample, draws, counting } = self;
        let given = [
            (form.is_some(), "--form"),
            (huber.is_some(), "--huber"),
            (*least_squares, "--least-squares"),
            (resample.is_some(), "--resample"),
            (draws.is_some(), "--draws"),
            (counting.n_as.is_some(), "--n-as"),
            (counting.flops_as.is_some(), "--flops-as"),
            (counting.repeated, "--repeated"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// Why a table cannot be counted as asked, if so.
    pub(crate) fn refused_by_table(&self, table: &str) -> Option<String> {
        let CountArgs { n_as, flops_as, repeated: _ } = self.counting;
        if n_as.is_some() {
            return Some(format!(
                "--n-as applies to campaigns, but {table} is a table, whose N is one of its columns: name the one that \
                 counts what you want with --n COLUMN"
            ));
        }
        (flops_as == Some(FlopsAs::Exact)).then(|| {
            format!(
                "--flops-as exact needs the shapes of the models, and {table} is a table, which has none: its budgets are \
                 6ND. Ask the campaign itself, or leave out --flops-as"
            )
        })
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
        AnalysisOptions { fit: FitOptions { objective }, bootstrap, ..AnalysisOptions::default() }
    }
}
