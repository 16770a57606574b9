//! `windtunnel cancel`

use proto::v1::CampaignPhase;
use serde::Serialize;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Cancel a campaign: stop training what no other campaign needs
///
/// Keeps everything trained so far: stages in training take a checkpoint first. Submitting the recipe again continues where
/// it stopped. Of a campaign whose training has ended, only evaluations that are not done are cancelled: the campaign stays
/// ended, and `windtunnel evaluate` asks for them again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel cancel quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Cancelled {
    campaign: String,
    name: String,
    /// Whether the campaign was cancelled.
    cancelled: bool,
    /// How many evaluations were, of a campaign whose training has ended.
    evaluations_cancelled: u32,
    #[serde(skip)]
    was: CampaignPhase,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let answer = with_coordinator(global, &self.coordinator, async |campaigns| Ok(campaigns.cancel(name).await?))?;
        let was = answer.was();
        let cancelled = Cancelled {
            campaign: answer.campaign,
            name: answer.name,
            cancelled: matches!(was, CampaignPhase::Open | CampaignPhase::Unspecified) && answer.evaluations == 0,
            evaluations_cancelled: answer.evaluations,
            was,
        };
        output::print(&cancelled, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Cancelled {
    fn table(&self) -> String {
        let Self { campaign, name, evaluations_cancelled, .. } = self;
        match self.was {
            _ if *evaluations_cancelled > 0 => {
                let evaluations = if *evaluations_cancelled == 1 { "evaluation" } else { "evaluations" };
                format!(
                    "cancelled {evaluations_cancelled} {evaluations} of {name} ({campaign}), whose training has ended; its results                      stay\n"
                )
            }
            CampaignPhase::Ended => format!("{name} has ended; nothing to cancel\n"),
            CampaignPhase::Cancelled => format!("{name} was cancelled before; nothing to cancel\n"),
            CampaignPhase::Open | CampaignPhase::Unspecified => format!("cancelled {name} ({campaign})\n"),
        }
    }
}
