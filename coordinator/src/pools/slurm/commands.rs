//! The command lines of Slurm.

use std::time::Duration;

use rustix::process::getuid;
use scheduler::pool::batch::{Job, JobId};

use super::answers::{self, FORMAT};
use super::command::{self, CommandError};
use super::settings::SlurmSettings;
use crate::pools::batch::{BatchError, Submission};

/// The most that is read of `squeue`: a hundred thousand jobs.
const QUEUE: u64 = 16 << 20;

/// The most that is read of the other commands.
const ANSWER: u64 = 64 << 10;

/// Who refuses a job that is only tested.
const TEST: &str = "`sbatch --test-only`";

/// What `sbatch --test-only` says of a job that it would take.
const TESTED: &str = " to start at ";

/// How a job is described to `sbatch`.
pub(super) struct Request<'a> {
    pub(super) pool: &'a str,
    pub(super) settings: &'a SlurmSettings,
    pub(super) comment: String,
    pub(super) folder: String,
    pub(super) log: String,
    /// Nodes to keep away from.
    pub(super) exclude: &'a [String],
}

impl Request<'_> {
    /// The arguments of `sbatch`. What the user gives comes after defaults and before what the pool decides: the last counts.
    fn args(&self) -> Vec<String> {
        let Self { pool, settings, comment, folder, log, exclude } = self;
        let mut args = vec!["--nodes=1".to_owned(), "--requeue".to_owned()];
        if settings.gpus_per_worker > 0 {
            args.push(format!("--gpus-per-task={}", settings.gpus_per_worker));
        }
        args.extend(settings.sbatch_args.iter().cloned());
        if !exclude.is_empty() {
            args.push(format!("--exclude={}", excluded(&settings.sbatch_args, exclude)));
        }
        args.extend(clusters(settings));
        args.extend([
            "--parsable".to_owned(),
            format!("--job-name={}", job_name(pool)),
            format!("--comment={comment}"),
            format!("--time={}", settings.time_seconds / 60),
            format!("--ntasks={}", settings.workers_per_allocation),
            format!("--signal=USR1@{}", settings.warning_seconds()),
            format!("--chdir={folder}"),
            format!("--output={log}"),
            "--open-mode=append".to_owned(),
        ]);
        args
    }

    /// Submits the job.
    pub(super) async fn submit(&self, script: &str, patience: Duration) -> Submission {
        let said = match command::run("sbatch", &self.args(), script, patience, ANSWER).await {
            Ok(said) => said,
            Err(error @ CommandError::Start(_)) => return Submission::Refused { why: in_short(&error) },
            Err(error) => return Submission::Open { why: in_short(&error) },
        };
        match answers::submitted(&said.output) {
            Some(job) if said.is_success => Submission::Job(job),
            _ if said.is_success || answers::leaves_open(&said.errors) => Submission::Open { why: said.errors },
            _ => Submission::Refused { why: said.errors },
        }
    }

    /// Asks what would become of the job, and submits nothing. Returns what Slurm says of it.
    pub(super) async fn test(&self, script: &str, patience: Duration) -> Result<String, BatchError> {
        let mut args = vec!["--test-only".to_owned()];
        args.extend(self.args());
        match command::run("sbatch", &args, script, patience, ANSWER).await {
            Ok(said) if said.is_success && said.errors.contains(TESTED) => Ok(said.errors),
            Ok(said) if said.is_success => {
                let why = format!("sbatch does not say when such a job would start, but: {}", said.errors);
                Err(BatchError::Refused { by: TEST, why })
            }
            Ok(said) => Err(BatchError::Refused { by: TEST, why: said.errors }),
            Err(CommandError::Start(source)) => Err(BatchError::NoProgram { program: "sbatch", source }),
            Err(CommandError::TookTooLong(patience)) => {
                Err(BatchError::TookTooLong { by: "`sbatch`", seconds: patience.as_secs() })
            }
            Err(error) => Err(BatchError::Refused { by: TEST, why: in_short(&error) }),
        }
    }
}

/// All jobs of these pools that Slurm still knows, those that ended lately included.
pub(super) async fn queue(
    pools: &[&str],
    settings: &SlurmSettings,
    patience: Duration,
) -> Result<Vec<Job>, CommandError> {
    let names: Vec<String> = pools.iter().map(|pool| job_name(pool)).collect();
    let mut args = vec![
        "--noheader".to_owned(),
        "--states=all".to_owned(),
        format!("--user={}", getuid().as_raw()),
        format!("--name={}", names.join(",")),
        format!("--format={FORMAT}"),
    ];
    args.extend(clusters(settings));
    let said = command::run("squeue", &args, "", patience, QUEUE).await?;
    if said.is_success { Ok(answers::jobs(&said.output)) } else { Err(CommandError::Refused(said.errors)) }
}

/// Cancels a job if it still waits in the queue. The next look shows what became of it.
pub(super) async fn cancel(job: JobId, settings: &SlurmSettings, patience: Duration) -> Result<(), CommandError> {
    let mut args = vec!["--state=PENDING".to_owned()];
    args.extend(clusters(settings));
    args.push(job.to_string());
    let said = command::run("scancel", &args, "", patience, ANSWER).await?;
    if said.is_success { Ok(()) } else { Err(CommandError::Refused(said.errors)) }
}

fn job_name(pool: &str) -> String {
    format!("windtunnel-{pool}")
}

fn clusters(settings: &SlurmSettings) -> Option<String> {
    (!settings.clusters.is_empty()).then(|| format!("--clusters={}", settings.clusters))
}

/// The nodes to keep away from, with those that the user keeps away from: the last such option counts alone.
fn excluded(args: &[String], exclude: &[String]) -> String {
    let mut nodes: Vec<&str> = exclude.iter().map(String::as_str).collect();
    for (place, arg) in args.iter().enumerate() {
        let value = match arg.as_str() {
            "-x" | "--exclude" => args.get(place + 1).map(String::as_str),
            arg => arg.strip_prefix("--exclude=").or_else(|| arg.strip_prefix("-x")),
        };
        nodes.extend(value);
    }
    nodes.join(",")
}

fn in_short(error: &CommandError) -> String {
    vocabulary::text::one_line(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pools::slurm::settings::sample;

    #[test]
    fn what_the_pool_decides_comes_after_what_the_user_says() {
        let settings = SlurmSettings { clusters: "east".to_owned(), time_seconds: 600, ..sample() };
        let exclude = ["n2".to_owned()];
        let request = Request {
            pool: "main",
            settings: &settings,
            comment: "windtunnel:main:00".to_owned(),
            folder: "/f".to_owned(),
            log: "/f/logs/00.log".to_owned(),
            exclude: &exclude,
        };
        let args = "--nodes=1 --requeue --gpus-per-task=1 -p main --account=me --time-min=5 --exclude=n2 --clusters=east \
                    --parsable --job-name=windtunnel-main --comment=windtunnel:main:00 --time=10 --ntasks=1 \
                    --signal=USR1@60 --chdir=/f --output=/f/logs/00.log --open-mode=append";
        assert_eq!(request.args().join(" "), args);
    }

    #[test]
    fn nodes_that_the_user_excludes_stay_excluded() {
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let exclude = ["n2".to_owned(), "n3".to_owned()];
        assert_eq!(excluded(&args(&["-p", "main"]), &exclude), "n2,n3");
        assert_eq!(excluded(&args(&["--exclude=a[1-2]", "-x", "b", "-xc"]), &exclude), "n2,n3,a[1-2],b,c");
    }
}
