//! `windtunnel worker`

use std::path::PathBuf;
use std::time::Duration;

use dial::Credentials;
use vocabulary::{Label, Place, WorkerId};
use worker::{ExitCode, StallLimits, WorkerOptions};

use crate::args::numbers::seconds;
use crate::args::{Compute, CoordinatorArgs, Downloads, Global, Leaving};
use crate::exit::{self, Exit};
use crate::local::data_dir::data_dir;
use crate::local::reach::find;

/// Train for a coordinator until stopped
///
/// The worker dials out and listens on no port. It keeps training while the coordinator is away, and reconnects. On
/// SIGTERM, SIGHUP or Ctrl-C it finishes its step, writes a checkpoint and hands the stage back within --grace, however often
/// the signal is repeated; on SIGUSR1, which schedulers send ahead of time, within what is left to --until. Only a second
/// Ctrl-C ends it at once, without losing anything committed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel worker --coordinator https://login-1:7450 --token-file token

Exit codes:
  0   dismissed by its parent, or given nothing for --idle-timeout
  1   failed; a restart may help
  69  the coordinator was unreachable for longer than --give-up-after
  75  stopped by a signal or --until; work was handed back if time allowed
  78  invalid configuration; a restart does not help")]
pub(crate) struct Args {
    #[command(flatten)]
    coordinator: CoordinatorArgs,

    #[command(flatten)]
    compute: Compute,

    /// Display name [default: derived from the machine]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    leaving: Leaving,

    /// The time at which this machine is taken away, in seconds since 1970 (`date +%s`)
    ///
    /// The worker leaves by itself while it can still hand its stage back, and begins no stage that it could not bring to a
    /// checkpoint
    #[arg(long, value_name = "UNIX_TIME", value_parser = clap::value_parser!(u64).range(..=MAX_UNIX_TIME))]
    until: Option<u64>,

    /// Seconds with the coordinator without being given anything after which to exit, or `never`
    ///
    /// For machines that somebody else could use. Time without a connection counts only before the first one: see
    /// --give-up-after
    #[arg(long, value_name = "SECONDS", default_value = "never", value_parser = patience)]
    idle_timeout: Patience,

    #[command(flatten)]
    downloads: Downloads,

    /// URL or path of the coordinator's storage on this machine [default: the URL that the coordinator names]
    ///
    /// For a file system that is mounted elsewhere here. The keys of a bucket come from AWS_*, GOOGLE_* or AZURE_*
    #[arg(long, value_name = "URL|PATH")]
    storage: Option<String>,

    /// Seconds without contact to the coordinator after which to write a checkpoint and exit, or `never`
    ///
    /// Whatever the coordinator has not heard of stays in the data directory, and the next worker of this name delivers it
    #[arg(long, value_name = "SECONDS", default_value = "never", value_parser = patience)]
    give_up_after: Patience,

    /// Seconds a step may take, and other work in proportion, before training is taken to hang
    #[arg(long, value_name = "SECONDS", hide = true, value_parser = seconds)]
    stall_after: Option<f64>,

    /// Training hangs while this file is there, for tests of what becomes of it
    #[arg(long, value_name = "FILE", hide = true)]
    hang_while: Option<PathBuf>,

    /// Identity of this process, assigned by its parent
    #[arg(long, value_name = "ID", hide = true)]
    worker_id: Option<WorkerId>,

    /// The pool that asked for this machine
    #[arg(long, env = "WINDTUNNEL_POOL", value_name = "NAME", hide = true)]
    pool: Option<Label>,

    /// What the pool calls its request for this machine
    #[arg(long, env = "WINDTUNNEL_ALLOCATION", value_name = "ID", hide = true)]
    allocation: Option<Label>,

    /// The node that this machine is, as the pool's system calls it
    #[arg(long, env = "WINDTUNNEL_NODE", value_name = "NAME", hide = true)]
    node: Option<Label>,

    /// Exit when standard input closes, so that workers end with their parent
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

/// The latest time that is accepted: the year 9999. One in milliseconds, a common mistake, is later.
const MAX_UNIX_TIME: u64 = 253_402_300_799;

/// How long a worker waits; `None` if it waits forever.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Patience(Option<Duration>);

fn patience(text: &str) -> Result<Patience, String> {
    if text == "never" {
        return Ok(Patience(None));
    }
    let seconds = seconds(text).map_err(|problem| format!("{problem}, or `never`"))?;
    Ok(Patience(Some(Duration::from_secs_f64(seconds))))
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let ended = match self.options(global) {
            Ok(Some(options)) => worker::run(options).map(worker::WorkerExit::exit_code).map_err(|error| {
                let code = error.exit_code();
                exit::print(&error.into());
                code
            }),
            Ok(None) => Err(ExitCode::Failed),
            Err(error) => {
                exit::print(&error);
                Err(ExitCode::BadConfiguration)
            }
        };
        Ok(Exit::Worker(ended.unwrap_or_else(|code| code)))
    }

    /// What the worker is started with; `None`, once it is said, if its coordinator is not there yet.
    ///
    /// # Errors
    /// If starting it again does not help.
    fn options(self, global: &Global) -> anyhow::Result<Option<WorkerOptions>> {
        let data_dir = data_dir(global)?;
        let storage_url = self.storage.as_deref().map(storage::address_of).transpose()?;
        let Some((coordinator_url, credentials)) = find(&self.coordinator, &data_dir)? else {
            let dir = data_dir.display();
            exit::print(&anyhow::anyhow!("no coordinator serves {dir}: start one, or give --coordinator URL"));
            return Ok(None);
        };
        let credentials = Credentials { is_worker: true, ..credentials };
        let until_ms = self.until.map(|seconds| 1000 * seconds);
        let here = worker::this_place();
        let node = self.node.or_else(|| here.node.clone());
        let place = Place { pool: self.pool, allocation: self.allocation, until_ms, node, ..here };
        Ok(Some(WorkerOptions {
            place,
            credentials,
            worker_id: self.worker_id,
            name: self.name,
            memory_bytes: self.compute.memory_bytes(),
            threads: usize::from(self.compute.threads),
            device: self.compute.device,
            exit_with_stdin: self.exit_with_stdin,
            checkpoint_interval: self.compute.checkpoint_interval.map(Duration::from_secs_f64),
            grace: Duration::from_secs_f64(self.leaving.grace),
            idle_timeout: self.idle_timeout.0,
            give_up_after: self.give_up_after.0,
            stall_limits: self
                .stall_after
                .map_or_else(StallLimits::default, |seconds| StallLimits { step: Duration::from_secs_f64(seconds) }),
            hang_while: self.hang_while,
            storage_url,
            node_cache_bytes: self.downloads.cache_bytes,
            ..WorkerOptions::new(coordinator_url, data_dir)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_time_or_for_ever() {
        assert_eq!(patience("never"), Ok(Patience(None)));
        assert_eq!(patience("0.5"), Ok(Patience(Some(Duration::from_millis(500)))));
        assert_eq!(patience("18446744073709551615"), Err("accepted: 0 to 1e9, or `never`".to_owned()));
        assert_eq!(patience("-1"), Err("accepted: 0 to 1e9, or `never`".to_owned()));
        assert_eq!(patience("soon"), Err("not a number, or `never`".to_owned()));
    }
}
