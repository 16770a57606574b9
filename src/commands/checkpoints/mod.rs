//! `windtunnel checkpoints`

mod diff;

use clap::Subcommand;
use proto::v1;
use serde::Serialize;
use vocabulary::text::counted;
use vocabulary::units::human_bytes;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::{with_coordinator, with_reader};
use crate::views::output::{self, View, columns};

/// List and compare checkpoints, and remove those no longer needed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel checkpoints list quickstart
  windtunnel checkpoints gc --dry-run")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Diff(diff::DiffArgs),
    Gc(GcArgs),
}

/// List committed checkpoints, their sizes, and why each is kept
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel checkpoints list quickstart")]
struct ListArgs {
    /// Name or identifier of the campaign; a prefix is enough [default: all campaigns]
    campaign: Option<String>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Remove unneeded checkpoints and leftovers of uncommitted ones
///
/// Keeps the last checkpoint of every trunk (branches start from it), the newest of every unfinished stage, and the final
/// checkpoints of trials. Safe while a campaign runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel checkpoints gc --dry-run
  windtunnel checkpoints gc quickstart")]
struct GcArgs {
    /// Name or identifier of the campaign; a prefix is enough [default: all campaigns]
    campaign: Option<String>,

    /// Print what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,

    /// Minimum age of uncommitted files to touch
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    min_age: u64,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self.command {
            Command::List(args) => args.run(global),
            Command::Diff(args) => args.run(global),
            Command::Gc(args) => args.run(global),
        }
    }
}

impl ListArgs {
    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let campaign = self.campaign.unwrap_or_default();
        let found =
            with_reader(global, &self.coordinator, async |campaigns| Ok(campaigns.checkpoints(&campaign).await?))?;
        output::print(&Listed { checkpoints: found.iter().map(CheckpointView::from).collect() }, global.json)?;
        Ok(Exit::Done)
    }
}

impl GcArgs {
    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let request = v1::CollectCheckpointsRequest {
            campaign: self.campaign.unwrap_or_default(),
            dry_run: self.dry_run,
            min_age_seconds: self.min_age,
        };
        let found = with_coordinator(global, &self.coordinator, async |campaigns| {
            Ok(campaigns.collect_checkpoints(request).await?)
        })?;
        let orphans = found.orphans.iter().map(|orphan| OrphanView { path: orphan.path.clone(), bytes: orphan.bytes });
        let collected = Collected {
            dry_run: self.dry_run,
            checkpoints: found.checkpoints.iter().map(CheckpointView::from).collect(),
            orphans: orphans.collect(),
            bytes: found.bytes,
        };
        output::print(&collected, global.json)?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Serialize)]
struct CheckpointView {
    stage: String,
    step: u64,
    attempt: u32,
    bytes: u64,
    /// Milliseconds since 1970; zero if unknown.
    committed_at_ms: u64,
    /// Why it is kept; `None` if it is not needed.
    kept_as: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct OrphanView {
    path: String,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Listed {
    checkpoints: Vec<CheckpointView>,
}

#[derive(Debug, Serialize)]
struct Collected {
    dry_run: bool,
    checkpoints: Vec<CheckpointView>,
    orphans: Vec<OrphanView>,
    bytes: u64,
}

impl From<&v1::CommittedCheckpoint> for CheckpointView {
    fn from(found: &v1::CommittedCheckpoint) -> Self {
        let kept_as = match found.hold() {
            v1::CheckpointHold::Unspecified => None,
            v1::CheckpointHold::BranchPoint => Some("branch point"),
            v1::CheckpointHold::Result => Some("result"),
            v1::CheckpointHold::Newest => Some("newest of an open stage"),
            v1::CheckpointHold::Evaluation => Some("to be evaluated"),
        };
        let v1::CommittedCheckpoint { stage, step, attempt, bytes, committed_at_ms, .. } = found.clone();
        Self { stage, step, attempt, bytes, committed_at_ms, kept_as }
    }
}

impl CheckpointView {
    fn row(&self) -> [String; 4] {
        let stage = self.stage.chars().take("stage_".len() + 8).collect();
        let why = self.kept_as.unwrap_or("not needed").to_owned();
        [stage, self.step.to_string(), human_bytes(self.bytes), why]
    }
}

const HEADER: [&str; 4] = ["stage", " step", " size", "kept as"];

impl View for Listed {
    fn table(&self) -> String {
        let rows: Vec<_> = self.checkpoints.iter().map(CheckpointView::row).collect();
        let sum = |which: fn(&&CheckpointView) -> bool| {
            self.checkpoints.iter().filter(which).map(|checkpoint| checkpoint.bytes).sum::<u64>()
        };
        let (all, idle) = (sum(|_| true), sum(|checkpoint| checkpoint.kept_as.is_none()));
        format!(
            "{}{} checkpoints, {}; {} not needed\n",
            columns(HEADER, &rows),
            rows.len(),
            human_bytes(all),
            human_bytes(idle)
        )
    }
}

impl View for Collected {
    fn table(&self) -> String {
        let rows: Vec<_> = self.checkpoints.iter().map(CheckpointView::row).collect();
        let mut text = if rows.is_empty() { String::new() } else { columns(HEADER, &rows) };
        for OrphanView { path, bytes } in &self.orphans {
            text.push_str(&format!("not committed: {path}  {}\n", human_bytes(*bytes)));
        }
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        let (checkpoints, files) = (counted(rows.len(), "checkpoint"), counted(self.orphans.len(), "other file"));
        let (size, bytes) = (human_bytes(self.bytes), self.bytes);
        text.push_str(&format!("{checkpoints} and {files} {verb}: {size} ({bytes} bytes)\n"));
        text
    }
}
