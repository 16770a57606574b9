//! `windtunnel forecast`

use anyhow::anyhow;
use client::Measured;
use report::forecast::{CurveOptions, Donor, ForecastError, NoTree, SizeTree, donor};

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::args::numbers::count;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::PROGRAM;
use crate::local::reach::with_reader;
use crate::views::output;
use crate::views::{DonorView, ForecastView, TreeView};

/// Forecast the decayed losses of branches from their trunk
///
/// Fits the multi-power law to the curves of each trunk and its finished decays, and forecasts the held-out loss of every
/// branch. Finished branches are forecast without their own curve and loss, so their errors show how far to trust the
/// others. A trunk without a finished decay needs --from. Trains and writes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel forecast quickstart
  windtunnel forecast quickstart --point 40m --json
  windtunnel forecast large --from quickstart/tiny-64")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Also forecast a branch of this many tokens, decay included, such as 4000000 or 4m; repeatable
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    point: Vec<u64>,

    /// Take the effect of a decay from this size of another campaign, ignoring this campaign's decays
    #[arg(long, value_name = "CAMPAIGN/SIZE")]
    from: Option<String>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let giver = self.from.as_deref().map(parse).transpose()?;
        let (campaign, giving) = with_reader(global, &self.coordinator, async |campaigns| {
            let campaign = Measured::fetch(campaigns, &self.campaign, PROGRAM).await?;
            let giving = match giver {
                Some((name, _)) => Some(Measured::fetch(campaigns, name, PROGRAM).await?),
                None => None,
            };
            Ok((campaign, giving))
        })?;
        let mut options = CurveOptions::default();
        // Intervals are dominated by the errors at finished branches, so fewer draws suffice; a campaign has many trunks.
        options.bootstrap.draws = 40;
        let donor = match (giver, &self.from, giving) {
            (Some((_, size)), Some(named), Some(giving)) => {
                let found = donor(&giving.trees(), size, &options);
                Some((
                    named.clone(),
                    found.map_err(|error| anyhow::Error::new(error).context(named.clone())).or_bad_input()?,
                ))
            }
            _ => None,
        };
        let trees: Vec<TreeView> = campaign
            .trees()
            .into_iter()
            .map(|tree| self.view(tree, donor.as_ref().map(|(_, donor)| donor), &options))
            .collect::<anyhow::Result<_>>()?;
        if trees.iter().all(|tree| tree.reason().is_some()) {
            let reason = trees.first().and_then(TreeView::reason).unwrap_or("it has no points");
            return Err(bad_input(anyhow!("{} cannot be forecast: {reason}", self.campaign)));
        }
        let from = donor.map(|(name, donor)| DonorView {
            name,
            transfer_rmse: donor.transfer.map(|(rmse, _)| rmse),
            transfer_branches: donor.transfer.map_or(0, |(_, count)| count),
        });
        let name = campaign.summary.name;
        output::print(&ForecastView { campaign: name, from, trees }, global.json)?;
        Ok(Exit::Done)
    }

    fn view(
        &self,
        tree: Result<SizeTree, NoTree>,
        donor: Option<&Donor>,
        options: &CurveOptions,
    ) -> anyhow::Result<TreeView> {
        let mut tree = match tree {
            Ok(tree) => tree,
            Err(NoTree { size, reason }) => return Ok(TreeView::refused(&size, reason.to_owned())),
        };
        for &d in &self.point {
            tree.add_point(d).or_bad_input()?;
        }
        let outcome = tree.forecast(donor, options).map_err(|error| match error {
            ForecastError::NothingDecayed => {
                format!("{error}: wait for a decay, or name a size that has some with --from CAMPAIGN/SIZE")
            }
            error => format!("{:#}", anyhow::Error::new(error)),
        });
        Ok(TreeView::of(&tree, donor, outcome))
    }
}

/// A count of tokens above zero.
fn tokens(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("a branch needs at least one token".to_owned()),
        tokens => Ok(tokens),
    }
}

/// Splits CAMPAIGN/SIZE.
fn parse(named: &str) -> anyhow::Result<(&str, &str)> {
    named
        .split_once('/')
        .filter(|(campaign, size)| !campaign.is_empty() && !size.is_empty())
        .ok_or_else(|| bad_input(anyhow!("--from {named}: expected CAMPAIGN/SIZE, such as quickstart/tiny-64")))
}
