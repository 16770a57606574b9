//! `windtunnel forget`

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, anyhow};
use proto::v1;
use serde::Serialize;
use vocabulary::text::counted;
use vocabulary::units::human_bytes;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::{Exit, bad_input};
use crate::local::reach::with_coordinator;
use crate::logging::say;
use crate::views::output::{self, View};

/// Delete a campaign that is over, with its curves, results and checkpoints
///
/// Deletes its recipe, curves, results, checkpoints and the losses of documents. Stages that other campaigns share stay, and so
/// does the report in its folder. What stays of it in the store is its entries in the event log, which is never rewritten: the plan
/// (name, sizes, hyper-parameters, identifiers of datasets) and, for each attempt, its worker, its end and its losses. Files are
/// deleted after the answer; a coordinator that ends before that leaves the rest to its next start. The store's file stays as
/// large as it is and reuses the room.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel forget quickstart --dry-run
  windtunnel forget quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    campaign: String,

    /// Print what would be deleted, without deleting it
    #[arg(long)]
    dry_run: bool,

    /// Delete the datasets that no other campaign uses, too
    #[arg(long)]
    datasets: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Forgotten {
    dry_run: bool,
    campaign: String,
    name: String,
    /// Stages and evaluations that only it had.
    stages: u32,
    /// Those that other campaigns have, too.
    shared: u32,
    checkpoints: u32,
    bytes: u64,
    /// Datasets that no campaign uses any more.
    unused_datasets: Vec<String>,
    datasets_deleted: bool,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let request =
            v1::ForgetCampaignRequest { campaign: self.campaign.clone(), datasets: self.datasets, dry_run: true };
        let asks = !self.yes && !self.dry_run;
        if asks && !std::io::stdin().is_terminal() {
            return Err(bad_input(anyhow!(
                "nobody can be asked here: give --yes to delete the campaign, or --dry-run"
            )));
        }
        let outcome = with_coordinator(global, &self.coordinator, async |campaigns| {
            let planned = campaigns.forget(request.clone()).await?;
            let view = |found, dry_run| Forgotten::new(found, dry_run, self.datasets);
            if self.dry_run {
                return Ok(Some(view(planned, true)));
            }
            // By its identifier from here on: another campaign may take the name.
            let campaign = planned.campaign.clone();
            if asks && !confirmed(&view(planned, true))? {
                return Ok(None);
            }
            let request = v1::ForgetCampaignRequest { campaign, dry_run: false, ..request };
            Ok(Some(view(campaigns.forget(request).await?, false)))
        })?;
        match outcome {
            Some(forgotten) => output::print(&forgotten, global.json)?,
            None => say("nothing is deleted"),
        }
        Ok(Exit::Done)
    }
}

/// Asks on the terminal.
fn confirmed(planned: &Forgotten) -> anyhow::Result<bool> {
    eprint!("{}Delete it for good? [y/N] ", planned.table());
    std::io::stderr().flush().context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

impl Forgotten {
    fn new(found: v1::ForgetCampaignResponse, dry_run: bool, datasets_deleted: bool) -> Self {
        let v1::ForgetCampaignResponse { campaign, name, stages, shared, checkpoints, bytes, datasets } = found;
        Self {
            dry_run,
            campaign,
            name,
            stages,
            shared,
            checkpoints,
            bytes,
            unused_datasets: datasets,
            datasets_deleted,
        }
    }
}

impl View for Forgotten {
    fn table(&self) -> String {
        let Self { campaign, name, stages, shared, checkpoints, bytes, .. } = self;
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        let size = human_bytes(*bytes);
        // Evaluations are counted with the stages.
        let (parts, checkpoints) = (counted(*stages, "part"), counted(*checkpoints, "checkpoint"));
        let mut text = format!("{name} ({campaign}) {verb}\n  {parts} of its tree, {checkpoints} of {size}\n");
        if *shared > 0 {
            text.push_str(&format!("  {shared} stay: other campaigns have them, too\n"));
        }
        for dataset in &self.unused_datasets {
            let what = match (self.datasets_deleted, self.dry_run) {
                (true, _) => verb,
                (false, true) => "would be used by no campaign: --datasets deletes it, too",
                (false, false) => "is used by no campaign and stays: its folder in `datasets` can be deleted by hand",
            };
            text.push_str(&format!("  {dataset} {what}\n"));
        }
        text
    }
}
