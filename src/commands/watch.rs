//! `windtunnel watch`

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use client::{CallError, Campaigns, follow, given_up};
use proto::v1::{CampaignPhase, CampaignSummary, CampaignUpdate};
use tokio::sync::watch;

use crate::args::{Asked, CoordinatorArgs, Global};
use crate::exit::{BadInput, Exit, bad_input, call_error};
use crate::local::data_dir::data_dir;
use crate::local::reach::{Intent, find, is_taken, reach_or_embed};
use crate::local::signals::Interrupts;
use crate::logging::say;
use crate::views::output::{self, View as _};
use crate::views::progress::{Snapshot, awaited, display};
use crate::views::{CampaignView, say_what_was_given_up};

/// Retries for a coordinator that went away, and the pause between them.
const TRIES: u32 = 60;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Between two questions what the pools do.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);

/// Watch a campaign until it ends
///
/// Interrupting the command does not stop the campaign.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel watch quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// An open campaign without a coordinator.
#[derive(Debug, thiserror::Error)]
#[error("{campaign} is open, but no coordinator serves {data_dir}: `windtunnel run` its recipe, or `windtunnel serve`")]
struct NotServed {
    campaign: String,
    data_dir: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(global)?;
        crate::local::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            tokio::select! {
                outcome = self.watch(&data_dir, global.json) => outcome,
                () = interrupts.next() => Ok(Exit::Interrupted),
            }
        })
    }

    async fn watch(&self, data_dir: &Path, json: bool) -> anyhow::Result<Exit> {
        self.wait_for_announcement().await?;
        let mut display = display(Some(&self.workers_dial(data_dir)?));
        let (mut seen, mut tries) = (false, 0);
        let last = loop {
            let show = |now: &CampaignUpdate, pools: Option<&String>| {
                (seen, tries) = (true, 0);
                let now = &Snapshot::from(now).awaiting(pools);
                if json {
                    return output::print_line(now, true);
                }
                display.show(now);
                Ok(())
            };
            match self.watch_once(data_dir, show).await {
                Ok(last) => break last,
                Err(error) if seen && tries < TRIES && may_come_back(&error) => {
                    tries += 1;
                    tracing::info!("{error:#}; retrying");
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                // It was moved: its job is in the queue again.
                Err(_) if seen && self.is_unannounced() => self.wait_for_announcement().await?,
                Err(error) => return Err(error),
            }
        };
        display.finish();
        if !json {
            output::write(&CampaignView::from(&last).table())?;
        }
        Ok(Exit::of_campaign(&last))
    }

    /// Whether the coordinator is to be found in a file that is not there.
    fn is_unannounced(&self) -> bool {
        matches!(self.coordinator.asked(), Ok(Asked::AnnouncedIn(file)) if !file.exists())
    }

    /// Waits for a coordinator that is not announced yet: its job may wait in a queue.
    async fn wait_for_announcement(&self) -> anyhow::Result<()> {
        let Asked::AnnouncedIn(file) = self.coordinator.asked().map_err(bad_input)? else { return Ok(()) };
        let mut is_said = false;
        while self.is_unannounced() {
            if !std::mem::replace(&mut is_said, true) {
                say(&format!(
                    "no coordinator is announced in {} yet: waiting for one. If the campaign has ended, `windtunnel report {}` \
                     with --data-dir has the results",
                    file.display(),
                    self.campaign
                ));
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Ok(())
    }

    /// The address that a worker on this machine dials.
    fn workers_dial(&self, data_dir: &Path) -> anyhow::Result<String> {
        let found = find(&self.coordinator, data_dir)?;
        Ok(found.map_or_else(|| "URL".to_owned(), |(url, _)| url))
    }

    /// Watches until the campaign or the coordinator ends.
    async fn watch_once(
        &self,
        data_dir: &Path,
        mut show: impl FnMut(&CampaignUpdate, Option<&String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<CampaignSummary> {
        let mut reached = reach_or_embed(&self.coordinator, data_dir, Intent::Read).await?;
        let outcome = async {
            let summary = reached.campaigns.detail(&self.campaign).await?.summary;
            if reached.is_own() && summary.phase() == CampaignPhase::Open {
                let data_dir = data_dir.display().to_string();
                return Err(bad_input(NotServed { campaign: summary.name, data_dir }.into()));
            }
            let (said, pools) = watch::channel(None);
            let mut asked = reached.campaigns.clone();
            let last = tokio::select! {
                last = follow(&mut reached.campaigns, &summary.campaign, |now| show(now, pools.borrow().as_ref())) => last?,
                never = ask_pools(&mut asked, said) => match never {},
            };
            say_what_was_given_up(&last.name, &given_up(&mut reached.campaigns, &last).await?);
            Ok(last)
        };
        let outcome = outcome.await;
        reached.leave().await;
        outcome
    }
}

/// Keeps asking what the pools do. What is not known is not said.
async fn ask_pools(campaigns: &mut Campaigns, said: watch::Sender<Option<String>>) -> Infallible {
    loop {
        let pools = campaigns.list_pools().await.unwrap_or_default();
        said.send_replace(awaited(&pools));
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
    }
}

/// Whether the coordinator, or a successor, may come back.
fn may_come_back(error: &anyhow::Error) -> bool {
    call_error(error).is_some_and(CallError::is_retryable)
        || is_taken(error)
        || error.downcast_ref::<BadInput>().and_then(BadInput::downcast_ref::<NotServed>).is_some()
}
