//! `windtunnel run`

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use coordinator::{CoordinatorOptions, WorkersGone};
use corpus::Prepared;
use proto::v1::{CampaignPhase, CampaignSummary};
use recipes::Recipe;

use super::worker::Compute;
use crate::cli::Global;
use crate::client::{CallError, CoordinatorArgs, Reached, embedded, is_taken, reach};
use crate::data_dir::{WritableDir, data_dir};
use crate::exit::{Exit, OrBadInput, one_line};
use crate::logging::say;
use crate::output;
use crate::pool::local_pool;
use crate::preparing::{check_sources, prepare_data};
use crate::results::{Campaign, out_dir};
use crate::signals::Interrupts;
use crate::submitting::submit;
use crate::watching::{display, follow, say_what_was_given_up};

/// How often, and for how long, to look for a coordinator that is neither there nor gone: it is starting, or ending.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Do it all: prepare the data, train what is not trained yet, fit the law, write the report
///
/// Stopped or killed, the same command goes on where it was. Once the campaign is finished it trains nothing and prints the
/// same result. Where a coordinator serves the data directory already, it is asked to do the work, with its workers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel run recipes/quickstart.toml
  windtunnel run recipes/quickstart.toml --workers 8 --device cuda:0 --out results/first")]
pub(crate) struct Args {
    /// The recipe's file
    recipe: PathBuf,

    /// Worker processes to start on this machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,

    #[command(flatten)]
    compute: Compute,

    /// Where to write points.csv, fit.json and report.html [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        // Whatever can be refused is refused before anything is written.
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        self.compute.check()?;
        check_sources(&recipe)?;
        let data_dir = WritableDir::prepare(&data_dir(global)?, "the data directory")?;
        let out = WritableDir::prepare(&out_dir(self.out.as_deref(), recipe.name())?, "the directory of results")?;

        let runtime = crate::runtime()?;
        let outcome = runtime.block_on(self.work(recipe, data_dir.path(), out.path(), global));
        // Preparation cannot be interrupted, and need not be waited for.
        runtime.shutdown_background();
        outcome
    }

    async fn work(&self, recipe: Recipe, data_dir: &Path, out: &Path, global: &Global) -> anyhow::Result<Exit> {
        let mut interrupts = Interrupts::listen()?;
        let preparation = {
            let (recipe, data_dir) = (recipe.clone(), data_dir.to_owned());
            tokio::task::spawn_blocking(move || prepare_data(&recipe, &data_dir))
        };
        let prepared = tokio::select! {
            prepared = preparation => prepared??,
            () = interrupts.next() => return Ok(interrupted()),
        };
        let mut tries = 0;
        let campaign = loop {
            let mut reached = match self.reach(data_dir).await {
                Ok(reached) => reached,
                Err(error) if tries < TRIES && is_passing(&error) => {
                    tries += 1;
                    tracing::debug!("{error:#}; looking again");
                    tokio::time::sleep(BETWEEN_TRIES).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let ended = tokio::select! {
                ended = self.see_through(&mut reached, &recipe, &prepared, data_dir) => ended,
                () = interrupts.next() => {
                    say("stopping: workers write their checkpoints; a second Ctrl-C stops at once");
                    tokio::select! {
                        () = reached.leave() => {}
                        () = interrupts.next() => {}
                    }
                    return Ok(interrupted());
                }
            };
            let is_own = reached.is_own();
            let ended = match ended {
                Err(error) => Err(cause(&reached, error).await),
                campaign => campaign,
            };
            reached.leave().await;
            match ended {
                Ok(campaign) => break campaign,
                Err(error) if !is_own && tries < TRIES && is_passing(&error) => {
                    say("the coordinator went away");
                    tries += 1;
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(error) => return Err(error),
            }
        };
        let exit = Exit::of_campaign(campaign.summary());
        let out = out.to_owned();
        let outcome = tokio::task::spawn_blocking(move || campaign.conclude(&out)).await??;
        output::print(&outcome, global.json)?;
        Ok(exit)
    }

    /// The coordinator that is there, or one of our own.
    async fn reach(&self, data_dir: &Path) -> anyhow::Result<Reached> {
        if let Some(reached) = reach(&self.coordinator, data_dir).await? {
            say(&format!("the coordinator at {} does the work, with its workers", reached.campaigns.url()));
            return Ok(reached);
        }
        embedded(CoordinatorOptions::new(data_dir)).await
    }

    /// Submits, trains what is not trained, and fetches all that is known.
    async fn see_through(
        &self,
        reached: &mut Reached,
        recipe: &Recipe,
        prepared: &Prepared,
        data_dir: &Path,
    ) -> anyhow::Result<Campaign> {
        let submitted = submit(&mut reached.campaigns, recipe, prepared).await?;
        let detail = reached.campaigns.detail(&submitted.campaign).await?;
        if detail.summary.phase() == CampaignPhase::Open {
            say(&format!(
                "{} ({}): {} stages, {} of them trained before",
                recipe.name(),
                submitted.campaign,
                submitted.stages,
                submitted.stages_done
            ));
            if let Some(own) = reached.own() {
                own.start_workers(local_pool(data_dir, self.workers, &self.compute)?).await?;
            }
            let mut display = display();
            let mut campaigns = reached.campaigns.clone();
            let following = follow(&mut campaigns, &submitted.campaign, |now| {
                display.show(now);
                Ok(())
            });
            let ended = tokio::select! {
                ended = following => ended,
                gone = workers_gone(reached) => Err(gone.into()),
            };
            display.finish();
            let ended = ended?;
            warn_of(&ended);
            say_what_was_given_up(&mut reached.campaigns, &ended).await?;
        }
        Campaign::fetch(&mut reached.campaigns, &submitted.campaign).await
    }
}

/// Waits until no worker of our own coordinator is left, nor will be.
async fn workers_gone(reached: &Reached) -> WorkersGone {
    match reached.own() {
        Some(own) => own.workers_gone().await,
        None => std::future::pending().await,
    }
}

/// What our own coordinator stopped for says more than that it stopped.
async fn cause(reached: &Reached, error: anyhow::Error) -> anyhow::Error {
    let Some(own) = reached.own() else { return error };
    match tokio::time::timeout(BETWEEN_TRIES, own.wait()).await {
        Ok(Err(failed)) => anyhow!(
            "the coordinator cannot go on: {}; nothing committed is lost, and the same command goes on once that is mended",
            one_line(failed.as_ref())
        ),
        _ => error,
    }
}

fn interrupted() -> Exit {
    say("stopped; the same command goes on where it was");
    Exit::Interrupted
}

/// Says what did not go as planned.
fn warn_of(ended: &CampaignSummary) {
    let trials = ended.trials.unwrap_or_default();
    if ended.phase() == CampaignPhase::Cancelled {
        say("the campaign was cancelled: the result is of what was trained by then");
    }
    if trials.diverged > 0 {
        say(&format!("{} points diverged and are not in the result", trials.diverged));
    }
    if trials.failed > 0 {
        say(&format!("{} points were given up and are not in the result", trials.failed));
    }
}

/// Whether the same may succeed in a moment.
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CallError>().is_some_and(CallError::is_retryable) || is_taken(error)
}
