//! Training a campaign to its end: with the coordinator that is running, or with an embedded one and local workers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use client::{Accepted, CallError, Campaigns, Measured, follow, given_up};
use coordinator::store::Place;
use coordinator::{CoordinatorOptions, WorkersGone};
use proto::v1::{CampaignPhase, CampaignSummary};
use report::{AnalysisOptions, Conclusion, Counting, Measure, Repeated};
use vocabulary::WorkKind;
use vocabulary::text::{counted, one_line};

use super::data_dir::{WritableDir, out_dir};
use super::reach::{Reached, embedded, is_taken, reach};
use super::signals::Interrupts;
use super::{PROGRAM, local_pool};
use crate::args::{Global, OwnWorkers, TrainingArgs};
use crate::exit::{Exit, OrBadInput, bad_input, call_error};
use crate::logging::say;
use crate::views::output;
use crate::views::progress::{Snapshot, display};
use crate::views::{ResultView, say_what_was_given_up};

/// Retries while a coordinator is starting or stopping, and the pause between them.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Where a campaign is trained, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Training<'a> {
    pub(crate) by: &'a TrainingArgs,
    pub(crate) data_dir: &'a Path,
    /// The storage that was asked for.
    pub(crate) storage: Option<&'a str>,
    /// The store that was asked for.
    pub(crate) store: Option<&'a Place>,
}

impl Training<'_> {
    /// Submits what `ask` adds to the campaign of this name, sees the campaign through, and writes its results to `out`, by
    /// default `out/CAMPAIGN`.
    pub(crate) fn add(
        &self,
        campaign: &str,
        out: Option<&Path>,
        global: &Global,
        ask: impl AsyncFn(&mut Campaigns) -> anyhow::Result<Accepted>,
    ) -> anyhow::Result<Exit> {
        let out = WritableDir::prepare(&out_dir(out, campaign)?, "the directory of results")?;
        super::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            match self.see_through(&mut interrupts, ask).await? {
                Some(measured) => conclude(measured, out.path(), global).await,
                None => Ok(interrupted()),
            }
        })
    }

    /// Submits a campaign with `ask`, waits for its end and fetches the measurements; `None` if interrupted. Submits again if the
    /// coordinator goes away meanwhile.
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
                    tracing::debug!("{error:#}; retrying");
                    tokio::time::sleep(BETWEEN_TRIES).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let ended = tokio::select! {
                ended = self.train(&mut reached, &ask) => ended,
                () = interrupts.next() => {
                    say(&format!("stopping: workers are writing checkpoints; {}", interrupts.how_to_stop_at_once()));
                    tokio::select! {
                        () = reached.leave() => {}
                        () = interrupts.again() => {}
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
                    say("lost the coordinator; reconnecting");
                    tries += 1;
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The running coordinator, or an embedded one.
    async fn reach(&self) -> anyhow::Result<Reached> {
        if let Some(mut reached) = reach(&self.by.coordinator, self.data_dir).await? {
            self.expect_storage(&mut reached).await?;
            say(&format!("the coordinator at {} and its workers do the work", reached.campaigns.url()));
            return Ok(reached);
        }
        let (storage, place) = (self.storage.map(str::to_owned), self.store.cloned());
        embedded(CoordinatorOptions { storage, place, ..CoordinatorOptions::new(self.data_dir) }).await
    }

    /// Refuses a coordinator that uses another storage than was asked for.
    async fn expect_storage(&self, reached: &mut Reached) -> anyhow::Result<()> {
        let Some(asked) = self.storage else { return Ok(()) };
        let (asked, used) = (storage::address_of(asked).or_bad_input()?, reached.campaigns.info().await?.storage);
        if asked == used {
            return Ok(());
        }
        let url = reached.campaigns.url();
        Err(bad_input(anyhow!("the coordinator at {url} keeps datasets and checkpoints in {used}, not in {asked}")))
    }

    async fn train(
        &self,
        reached: &mut Reached,
        ask: impl AsyncFn(&mut Campaigns) -> anyhow::Result<Accepted>,
    ) -> anyhow::Result<Measured> {
        let Accepted { campaign, name, of, stages, stages_done } = ask(&mut reached.campaigns).await?;
        let detail = reached.campaigns.detail(&campaign).await?;
        if detail.summary.phase() == CampaignPhase::Open {
            let what = match of {
                WorkKind::Train => format!("{}, {stages_done} already trained", counted(stages, "stage")),
                WorkKind::Evaluate => format!("{}, {stages_done} already done", counted(stages, "evaluation")),
            };
            say(&format!("{name} ({campaign}): {what}"));
            if let Some(own) = reached.own() {
                let OwnWorkers { workers, compute, leaving, downloads } = &self.by.own;
                own.start_workers(local_pool(self.data_dir, *workers, compute, *leaving, *downloads)?).await?;
            }
            let mut display = display(Some(reached.campaigns.url()).filter(|_| !reached.is_own()));
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

/// Fits the law, writes the files, prints the result, and returns the exit of the command.
pub(crate) async fn conclude(measured: Measured, out: &Path, global: &Global) -> anyhow::Result<Exit> {
    let exit = Exit::of_campaign(&measured.summary);
    let out = out.to_owned();
    let result = tokio::task::spawn_blocking(move || results(measured, &out, Counting::default(), Repeated::default()))
        .await??;
    output::print(&result, global.json)?;
    Ok(exit)
}

/// Fits the law and writes the files into an existing directory.
pub(crate) fn results(
    measured: Measured,
    out: &Path,
    counting: Counting,
    repeated: Repeated,
) -> anyhow::Result<ResultView> {
    let options = AnalysisOptions::default();
    let conclusion = Conclusion::with(measured.campaign, &options, Measure::default(), counting, repeated);
    let files = conclusion.write(out).context("cannot write the results")?;
    Ok(ResultView::new(&conclusion, files))
}

/// Prints how to continue interrupted work.
pub(crate) fn interrupted() -> Exit {
    say("stopped; run the same command again to continue");
    Exit::Interrupted
}

/// Resolves once every worker of the embedded coordinator has failed for good.
async fn workers_gone(reached: &Reached) -> WorkersGone {
    match reached.own() {
        Some(own) => own.workers_gone().await,
        None => std::future::pending().await,
    }
}

/// Replaces an error by the reason the embedded coordinator stopped, which says more.
async fn cause(reached: &Reached, error: anyhow::Error) -> anyhow::Error {
    let Some(own) = reached.own() else { return error };
    match tokio::time::timeout(BETWEEN_TRIES, own.wait()).await {
        Ok(Err(failed)) => anyhow!(
            "the coordinator stopped: {}. Nothing committed is lost; fix the cause and run the same command again",
            one_line(failed.as_ref())
        ),
        _ => error,
    }
}

/// Prints what did not go as planned.
fn warn_of(ended: &CampaignSummary) {
    let trials = ended.trials.unwrap_or_default();
    if ended.phase() == CampaignPhase::Cancelled {
        say("the campaign was cancelled: the result covers what was trained before that");
    }
    if trials.diverged > 0 {
        say(&format!("{} points diverged and are missing from the result", trials.diverged));
    }
    let evaluations = ended.evaluations.unwrap_or_default();
    if evaluations.diverged > 0 {
        say(&format!("{} evaluations have no finite loss and are missing from the result", evaluations.diverged));
    }
    if trials.failed > 0 {
        say(&format!("{} points failed and are missing from the result", trials.failed));
    }
}

/// Whether a retry may succeed.
fn is_passing(error: &anyhow::Error) -> bool {
    call_error(error).is_some_and(CallError::is_retryable) || is_taken(error)
}
