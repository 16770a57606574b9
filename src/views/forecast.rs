//! Forecasts of branches.

use report::forecast::{CurveFit, Donor, Forecasts, SizeTree, Unseen};
use serde::Serialize;
use vocabulary::units::human_count;

use crate::views::output::{View, columns};

/// Forecasts of a campaign's branches.
#[derive(Debug, Serialize)]
pub(crate) struct ForecastView {
    pub(crate) campaign: String,
    /// The donor of the decay term, if any.
    pub(crate) from: Option<DonorView>,
    pub(crate) trees: Vec<TreeView>,
}

/// A decay term taken from another campaign.
#[derive(Debug, Serialize)]
pub(crate) struct DonorView {
    /// CAMPAIGN/SIZE.
    pub(crate) name: String,
    /// RMSE at branches of the donor's other sizes, nats, if there are any.
    pub(crate) transfer_rmse: Option<f64>,
    /// Number of those branches.
    pub(crate) transfer_branches: usize,
}

/// A trunk and its branches.
#[derive(Debug, Serialize)]
pub(crate) struct TreeView {
    size: String,
    seed: Option<u64>,
    arm: Option<String>,
    peak_lr: Option<f64>,
    /// Why there are no forecasts.
    refused: Option<String>,
    branches: Vec<BranchView>,
    /// Errors of forecasts of finished branches.
    unseen: Option<Unseen>,
    /// Held-out minus training loss, nats.
    offset: Option<f64>,
    law: Option<CurveFit>,
}

/// One branch.
#[derive(Debug, Serialize)]
struct BranchView {
    d: u64,
    arm: Option<String>,
    /// `None` if it is finished and could not be forecast without its own data.
    forecast: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    measured: Option<f64>,
}

impl TreeView {
    /// A tree with its forecasts, or the reason it has none.
    pub(crate) fn of(tree: &SizeTree, donor: Option<&Donor>, outcome: Result<Forecasts, String>) -> Self {
        let mut view = Self {
            size: tree.size.clone(),
            seed: Some(tree.seed),
            arm: tree.arm.clone(),
            peak_lr: Some(tree.peak_lr),
            ..Self::refused(&tree.size, String::new())
        };
        match outcome {
            Err(reason) => view.refused = Some(reason),
            Ok(found) => {
                view.refused = None;
                view.branches = found
                    .branches
                    .iter()
                    .enumerate()
                    .map(|(index, branch)| {
                        let unseen = !tree.saw(index, donor, &found);
                        let interval = branch.interval.filter(|_| unseen);
                        BranchView {
                            d: tree.d[index],
                            arm: tree.arms[index].clone(),
                            forecast: unseen.then_some(branch.loss),
                            low: interval.map(|interval| interval.low),
                            high: interval.map(|interval| interval.high),
                            measured: branch.measured,
                        }
                    })
                    .collect();
                view.unseen = found.unseen;
                view.offset = Some(found.offset.0);
                view.law = Some(found.fit);
            }
        }
        view
    }

    /// Runs without a trunk.
    pub(crate) fn refused(size: &str, reason: String) -> Self {
        Self {
            size: size.to_owned(),
            seed: None,
            arm: None,
            peak_lr: None,
            refused: Some(reason),
            branches: Vec::new(),
            unseen: None,
            offset: None,
            law: None,
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    fn title(&self) -> String {
        let mut title = self.size.clone();
        if let Some(arm) = &self.arm {
            title.push_str(&format!(", arm {arm}"));
        }
        if let (Some(seed), Some(peak_lr)) = (self.seed, self.peak_lr) {
            title.push_str(&format!(", seed {seed}, peak learning rate {peak_lr}"));
        }
        title
    }

    fn table(&self) -> String {
        if let Some(reason) = &self.refused {
            return format!("{}: no forecast: {reason}\n", self.title());
        }
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let rows: Vec<[String; 7]> = self
            .branches
            .iter()
            .map(|branch| {
                let error = branch.measured.zip(branch.forecast);
                [
                    human_count(branch.d as f64),
                    branch.arm.clone().unwrap_or_else(|| "-".to_owned()),
                    number(branch.forecast),
                    number(branch.low),
                    number(branch.high),
                    number(branch.measured),
                    error.map_or_else(|| "-".to_owned(), |(measured, forecast)| format!("{:+.4}", forecast - measured)),
                ]
            })
            .collect();
        let mut text = format!("{}\n", self.title());
        let header = [" D", "arm", " forecast", " low", " high", " measured", " error"];
        // The title names an arm shared by all branches.
        text.push_str(&if self.branches.iter().all(|branch| branch.arm == self.arm) {
            let without =
                |[d, _, forecast, low, high, measured, error]: [String; 7]| [d, forecast, low, high, measured, error];
            let [d, _, forecast, low, high, measured, error] = header;
            columns([d, forecast, low, high, measured, error], &rows.into_iter().map(without).collect::<Vec<_>>())
        } else {
            columns(header, &rows)
        });
        text.push_str(&match self.unseen {
            Some(Unseen { branches, bias, rmse, worst }) => format!(
                "{branches} finished, each forecast without its own data:\nerror {bias:+.4} mean, {rmse:.4} RMSE, {worst:.4} at most\n"
            ),
            None => "no finished branch could be forecast without its own data: the error is unknown\n".to_owned(),
        });
        text
    }
}

impl View for ForecastView {
    fn table(&self) -> String {
        let mut text: Vec<String> = Vec::new();
        if let Some(DonorView { name, transfer_rmse, transfer_branches }) = &self.from {
            text.push(match transfer_rmse {
                Some(rmse) => format!(
                    "decay term of {name}\nRMSE {rmse:.4} at {transfer_branches} branches of other sizes of its campaign\n"
                ),
                None => format!("decay term of {name}; its error at other sizes is unknown\n"),
            });
        }
        text.extend(self.trees.iter().map(TreeView::table));
        text.join("\n")
    }
}
