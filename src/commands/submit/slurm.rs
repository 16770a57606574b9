//! `windtunnel submit --slurm`: the coordinator as a job of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use client::{Accepted, Campaigns};
use coordinator::CoordinatorOptions;
use coordinator::store::Place;
use dial::{Credentials, RENDEZVOUS_SCHEME};
use recipes::Recipe;
use serde::Serialize;
use vocabulary::text::counted;

use crate::args::Global;
use crate::commands::pool;
use crate::commands::pool::settings::lasting;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::coordinator_job::{CoordinatorJob, Folder, quoted};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::preparing::prepare_data;
use crate::local::reach::{Reached, embedded, is_taken, upload};
use crate::views::output::{self, View};

/// The pool's name; its jobs are called `windtunnel-workers`.
const POOL: &str = "workers";

/// Files in the job's folder.
const POOL_FILE: &str = "pool.toml";
const RECIPE_FILE: &str = "recipe.toml";

/// Options of the coordinator's job that are taken from those of the workers, unless others are given.
const INHERITED: [(&str, Option<&str>); 4] =
    [("account", Some("-A")), ("partition", Some("-p")), ("qos", Some("-q")), ("reservation", None)];

/// Runs the whole campaign on Slurm.
#[derive(Debug, clap::Args)]
pub(super) struct SlurmArgs {
    /// Run everything as jobs of Slurm, the coordinator too, and leave nothing running here
    ///
    /// The data directory and the program must be on a file system that this machine shares with the nodes. The text is prepared
    /// here; then one job is submitted for the coordinator, which needs no GPU. It submits worker jobs while there is work, and
    /// ends once the campaign has ended and no job is left. Running the command again resumes what was interrupted, or hands
    /// another recipe to the same coordinator
    #[arg(long, help_heading = "Slurm options")]
    pub(super) slurm: bool,

    /// Time limit of each worker's job, such as 90m, 8h or 1-12:00:00, in whole minutes
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "TIME", default_value = "4h", value_parser = minutes)]
    time: u64,

    /// Maximum number of worker jobs
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max: u32,

    /// GPUs of each worker; 0 with `--device flex` for workers on the CPU
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=64))]
    gpus_per_worker: u32,

    /// Device of each worker, as for `windtunnel worker` [default: the worker's own]
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "DEVICE")]
    device: Option<String>,

    /// Time limit of the coordinator's job. When it expires, the job requeues itself and continues
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "TIME", default_value = "1d", value_parser = minutes)]
    coordinator_time: u64,

    /// An sbatch option for the coordinator's job; repeatable [default: account, partition, QOS and reservation of the workers]
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "OPTION", allow_hyphen_values = true)]
    coordinator_sbatch: Vec<String>,

    /// Additional option for the coordinator's `windtunnel serve`; repeatable
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "OPTION", allow_hyphen_values = true)]
    serve: Vec<String>,

    /// Program on the nodes [default: the path of this one]
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "PATH")]
    program: Option<PathBuf>,

    /// URL or path of the storage of datasets and checkpoints, as for `windtunnel serve` [default: as before, at first the data
    /// directory]
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "URL|PATH")]
    storage: Option<String>,

    /// Address of the store, as for `windtunnel serve`: where the data directory lies on a network file system, a database is
    /// safer than a file
    #[arg(long, help_heading = "Slurm options", requires = "slurm", value_name = "ADDRESS")]
    store: Option<String>,

    /// Options of sbatch for the workers' jobs: partition, account, memory and so on
    #[arg(last = true, requires = "slurm", value_name = "SBATCH OPTIONS")]
    sbatch: Vec<String>,
}

/// A pool, as `windtunnel pool add FILE` reads it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PoolFile<'a> {
    kind: &'static str,
    name: &'static str,
    time: String,
    max: u32,
    gpus_per_worker: u32,
    device: &'a str,
    program: String,
    sbatch: &'a [String],
}

#[derive(Serialize)]
struct Submitted {
    campaign: String,
    name: String,
    stages: u32,
    stages_done: u32,
    /// The coordinator's.
    job: u64,
    /// Whether the job was there before.
    is_found: bool,
    log: PathBuf,
    /// What to type next.
    watch: String,
    report: String,
}

impl SlurmArgs {
    pub(super) fn run(
        self,
        file: &Path,
        recipe: &Recipe,
        weight: Option<u32>,
        global: &Global,
    ) -> anyhow::Result<Exit> {
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        let data_dir = data_dir.path();
        let program = match &self.program {
            Some(program) => std::path::absolute(program).context("cannot use --program").or_bad_input()?,
            None => std::env::current_exe().context("cannot find the path of this program: give --program")?,
        };
        let folder = Folder::make(data_dir).context("cannot write to the data directory").or_bad_input()?;
        let inherited = inherited(&self.sbatch);
        let sbatch = if self.coordinator_sbatch.is_empty() { &inherited } else { &self.coordinator_sbatch };
        let (minutes, serve) = (self.coordinator_time / 60, self.serve.as_slice());
        let job = CoordinatorJob { data_dir, folder: &folder, program: &program, minutes, sbatch, serve };
        // What Slurm refuses is said before the text is prepared, which may take long.
        job.test(&self.worker_options()).context("Slurm would not take a worker's job")?;
        folder.keep(POOL_FILE, &self.pool_file(&program)?).or_bad_input()?;
        pool::described_in(&folder.path(POOL_FILE))?;
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        folder.keep(RECIPE_FILE, &text).or_bad_input()?;

        let prepared = prepare_data(recipe, data_dir)?;
        let found = job.find()?;
        let place = self.store.as_deref().map(Place::parse).transpose().or_bad_input()?;
        let options = CoordinatorOptions { place, storage: self.storage.clone(), ..CoordinatorOptions::new(data_dir) };
        let accepted = crate::local::runtime()?.block_on(async {
            let mut reached = reach(&folder, found, options, data_dir).await?;
            let submitted = async {
                upload(&mut reached.campaigns, &prepared).await?;
                anyhow::Ok(client::submit(&mut reached.campaigns, recipe, &prepared.dataset, weight).await?)
            };
            let submitted = submitted.await;
            reached.leave().await;
            submitted
        })?;
        let Accepted { campaign, name, stages, stages_done, .. } = accepted;
        // The job may have ended while the campaign was recorded; Slurm runs no second job of this name at once.
        let found = job.find()?;
        let job = match found {
            Some(job) => job,
            None => job.submit()?,
        };
        let words = |line: String, path: &Path| format!("{line} {}", quoted(&path.display().to_string()));
        let watch = words(format!("windtunnel watch {name} --rendezvous"), &folder.rendezvous());
        let report = words(format!("windtunnel report {name} --data-dir"), data_dir);
        let (is_found, log) = (found.is_some(), folder.log());
        let submitted = Submitted { campaign, name, stages, stages_done, job, is_found, log, watch, report };
        output::print(&submitted, global.json)?;
        Ok(Exit::Done)
    }

    /// The sbatch options that decide whether a worker's job can be scheduled.
    fn worker_options(&self) -> Vec<String> {
        let mut options = vec!["--nodes=1".to_owned(), "--ntasks=1".to_owned()];
        options.extend((self.gpus_per_worker > 0).then(|| format!("--gpus-per-task={}", self.gpus_per_worker)));
        options.extend(self.sbatch.iter().cloned());
        options.push(format!("--time={}", self.time / 60));
        options
    }

    fn pool_file(&self, program: &Path) -> anyhow::Result<String> {
        let pool = PoolFile {
            kind: "slurm",
            name: POOL,
            time: format!("{}s", self.time),
            max: self.max,
            gpus_per_worker: self.gpus_per_worker,
            device: self.device.as_deref().unwrap_or_default(),
            program: program.display().to_string(),
            sbatch: &self.sbatch,
        };
        toml::to_string(&pool).context("cannot describe the pool")
    }
}

/// Connects to the coordinator's job if it runs; otherwise starts a coordinator without workers in this process, just to record
/// the campaign.
async fn reach(
    folder: &Folder,
    found: Option<u64>,
    options: CoordinatorOptions,
    data_dir: &Path,
) -> anyhow::Result<Reached> {
    let file = folder.rendezvous();
    if found.is_some() && file.exists() {
        let url = format!("{RENDEZVOUS_SCHEME}{}", file.display());
        match Campaigns::connect(&url, &Credentials::default()).await {
            Ok(campaigns) => return Ok(Reached::at(campaigns)),
            // Its node may have failed: then nobody holds the data directory.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
    }
    match embedded(options).await {
        Err(error) if is_taken(&error) => {
            let what = match found {
                Some(job) => format!("job {job} is just starting or stopping: run the same command again"),
                None => "it does not run as a job of Slurm: stop it, or submit to it without --slurm".to_owned(),
            };
            Err(bad_input(anyhow!("a coordinator already has {}, and {what}", data_dir.display())))
        }
        reached => reached,
    }
}

/// Of the options for workers, those that say on whose account and where a job runs.
fn inherited(sbatch: &[String]) -> Vec<String> {
    let mut taken = Vec::new();
    let mut args = sbatch.iter().peekable();
    while let Some(arg) = args.next() {
        for (long, letter) in INHERITED {
            let value = arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(long));
            let value = value.or_else(|| letter.and_then(|letter| arg.strip_prefix(letter)));
            match value {
                Some("") => taken.extend([Some(arg), args.peek().copied()].into_iter().flatten().cloned()),
                Some(value) if value.starts_with('=') || !arg.starts_with("--") => taken.push(arg.clone()),
                _ => {}
            }
        }
    }
    taken
}

fn minutes(text: &str) -> Result<u64, String> {
    let seconds = lasting(text)?;
    let is_sound = (60..=365 * 86_400).contains(&seconds) && seconds.is_multiple_of(60);
    if is_sound { Ok(seconds) } else { Err("accepted: 1 minute to 365 days, in whole minutes".to_owned()) }
}

impl View for Submitted {
    fn table(&self) -> String {
        let Self { campaign, name, stages, stages_done, job, is_found, log, watch, report } = self;
        let log = log.display();
        let runs = if *is_found { "already runs, or will run," } else { "will run" };
        format!(
            "submitted {name} as {campaign}: {}, {stages_done} already done\n\
             job {job} {runs} the coordinator, and ends after the campaign; log: {log}\n\
             follow it: {watch}\n\
             afterwards: {report}\n",
            counted(*stages, "stage")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coordinator_runs_on_the_account_and_in_the_partition_of_the_workers() {
        let inherited = |args: &[&str]| inherited(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        let given =
            ["--partition=gpu", "-A", "me", "--cpus-per-task=8", "-qhigh", "--mem", "32G", "--reservation", "r"];
        assert_eq!(inherited(&given), ["--partition=gpu", "-A", "me", "-qhigh", "--reservation", "r"]);
        assert_eq!(inherited(&["-p", "gpu", "--account=me", "--gres=gpu:4"]), ["-p", "gpu", "--account=me"]);
        assert_eq!(inherited(&["--constraint=a100", "-c", "4"]), Vec::<String>::new());
    }

    #[test]
    fn limits_are_whole_minutes() {
        assert_eq!(minutes("90m"), Ok(5400));
        assert!(minutes("90s").is_err() && minutes("0m").is_err() && minutes("9999d").is_err());
    }
}
