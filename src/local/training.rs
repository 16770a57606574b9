//! Having a campaign trained: by the coordinator that is there, or by one of our own with workers on this machine, and
//! followed to its end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use client::{Accepted, CallError, Campaigns, Measured, follow, given_up};
use coordinator::{CoordinatorOptions, WorkersGone};
use proto::v1::{CampaignPhase, CampaignSummary};
use report::{AnalysisOptions, Conclusion};

use super::reach::{Reached, embedded, is_taken, reach};
use super::signals::Interrupts;
use super::{PROGRAM, local_pool};
use crate::args::{Global, OwnWorkers, TrainingArgs};
use crate::exit::{Exit, call_error, one_line};
use crate::logging::say;
use crate::views::output;
use crate::views::progress::{Snapshot, display};
use crate::views::{ResultView, say_what_was_given_up};

/// How often, and for how long, to look for a coordinator that is neither there nor gone: it is starting, or ending.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Where the work is done, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Training<'a> {
    pub(crate) by: &'a TrainingArgs,
    pub(crate) data_dir: &'a Path,
}

impl Training<'_> {
    /// Asks for a campaign, has trained what is not trained, and fetches all that is known then; `None` where it was
    /// interrupted. It is asked for again where the coordinator goes away meanwhile.
    pub(crate) async fn see_through(
        &self,
        interrupts: &mut Interrupts,
        ask: impl AsyncFn(&mut Campaigns) -> anyhow::Result<Accepted>,
    ) -> anyhow::Result<Option<Measured>> {
        let mut tries = 0;
        loop {
            let mut reached = match self.reach().await {
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
                ended = self.train(&mut reached, &ask) => ended,
                () = interrupts.next() => {
                    say("stopping: workers write their checkpoints; a second Ctrl-C stops at once");
                    tokio::select! {
                        () = reached.leave() => {}
                        () = interrupts.next() => {}
                    }
                    return Ok(None);
                }
            };
            let is_own = reached.is_own();
            let ended = match ended {
                Err(error) => Err(cause(&reached, error).await),
                campaign => campaign,
            };
            reached.leave().await;
            match ended {
                Ok(campaign) => return Ok(Some(campaign)),
                Err(error) if !is_own && tries < TRIES && is_passing(&error) => {
                    say("the coordinator went away");
                    tries += 1;
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The coordinator that is there, or one of our own.
    async fn reach(&self) -> anyhow::Result<Reached> {
        if let Some(reached) = reach(&self.by.coordinator, self.data_dir).await? {
            say(&format!("the coordinator at {} does the work, with its workers", reached.campaigns.url()));
            return Ok(reached);
        }
        embedded(CoordinatorOptions::new(self.data_dir)).await
    }

    async fn train(
        &self,
        reached: &mut Reached,
        ask: impl AsyncFn(&mut Campaigns) -> anyhow::Result<Accepted>,
    ) -> anyhow::Result<Measured> {
        let Accepted { campaign, name, stages, stages_done } = ask(&mut reached.campaigns).await?;
        let detail = reached.campaigns.detail(&campaign).await?;
        if detail.summary.phase() == CampaignPhase::Open {
            say(&format!("{name} ({campaign}): {stages} stages, {stages_done} of them trained before"));
            if let Some(own) = reached.own() {
                let OwnWorkers { workers, compute } = &self.by.own;
                own.start_workers(local_pool(self.data_dir, *workers, compute)?).await?;
            }
            let mut display = display();
            let mut campaigns = reached.campaigns.clone();
            let following = follow(&mut campaigns, &campaign, |now| {
                display.show(&Snapshot::from(now));
                anyhow::Ok(())
            });
            let ended = tokio::select! {
                ended = following => ended,
                gone = workers_gone(reached) => Err(gone.into()),
            };
            display.finish();
            let ended = ended?;
            warn_of(&ended);
            say_what_was_given_up(&ended.name, &given_up(&mut reached.campaigns, &ended).await?);
        }
        Ok(Measured::fetch(&mut reached.campaigns, &campaign, PROGRAM).await?)
    }
}

/// Fits the law, writes the files, prints the result, and says what the campaign's end means for the command.
pub(crate) async fn conclude(measured: Measured, out: &Path, global: &Global) -> anyhow::Result<Exit> {
    let exit = Exit::of_campaign(&measured.summary);
    let out = out.to_owned();
    let result = tokio::task::spawn_blocking(move || results(measured, &out)).await??;
    output::print(&result, global.json)?;
    Ok(exit)
}

/// Fits the law, and writes the files into a directory that is there.
pub(crate) fn results(measured: Measured, out: &Path) -> anyhow::Result<ResultView> {
    let conclusion = Conclusion::of(measured.campaign, &AnalysisOptions::default());
    let files = conclusion.write(out).context("the results could not be written")?;
    Ok(ResultView::new(&conclusion, files))
}

/// What is said of work that was interrupted.
pub(crate) fn interrupted() -> Exit {
    say("stopped; the same command goes on where it was");
    Exit::Interrupted
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
    call_error(error).is_some_and(CallError::is_retryable) || is_taken(error)
}
