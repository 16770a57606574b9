//! `windtunnel worker`

use std::time::Duration;

use vocabulary::WorkerId;
use worker::WorkerOptions;

use crate::args::numbers::seconds;
use crate::args::{Compute, CoordinatorArgs, Global};
use crate::exit::{self, Exit, bad_input};
use crate::local::data_dir::data_dir;
use crate::local::reach::find;

/// Train for a coordinator until stopped
///
/// The worker dials out and listens on no port. It keeps training while the coordinator is away, and reconnects. On
/// SIGTERM, SIGUSR1 or Ctrl-C it finishes its step, writes a checkpoint and hands the stage back; a second signal ends it
/// at once without losing anything committed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel worker --coordinator https://login-1:7450 --token-file token

Exit codes:
  0   dismissed by its parent
  1   failed; a restart may help
  69  the coordinator was unreachable for too long
  75  stopped by a signal; work was handed back as far as time allowed
  78  invalid configuration; a restart does not help")]
pub(crate) struct Args {
    #[command(flatten)]
    coordinator: CoordinatorArgs,

    #[command(flatten)]
    compute: Compute,

    /// Display name [default: derived from the machine]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Seconds allowed after a signal to finish the step, write a checkpoint and hand the stage back
    ///
    /// By default, Slurm and Kubernetes kill a process 30 seconds after asking it to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0, value_parser = seconds)]
    grace: f64,

    /// Exit after this many seconds without contact to the coordinator
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    give_up_after: u64,

    /// Identity of this process, assigned by its parent
    #[arg(long, value_name = "ID", hide = true)]
    worker_id: Option<WorkerId>,

    /// Exit when standard input closes, so that workers end with their parent
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(global)?;
        let Some((coordinator_url, credentials)) = find(&self.coordinator, &data_dir)? else {
            let dir = data_dir.display();
            return Err(bad_input(anyhow::anyhow!("no coordinator serves {dir}: give --coordinator URL")));
        };
        let options = WorkerOptions {
            credentials,
            worker_id: self.worker_id,
            name: self.name,
            memory_bytes: self.compute.memory_bytes(),
            threads: usize::from(self.compute.threads),
            device: self.compute.device,
            exit_with_stdin: self.exit_with_stdin,
            checkpoint_interval: self.compute.checkpoint_interval.map(Duration::from_secs_f64),
            grace: Duration::from_secs_f64(self.grace),
            give_up_after: Duration::from_secs(self.give_up_after),
            ..WorkerOptions::new(coordinator_url, data_dir)
        };
        Ok(Exit::Worker(match worker::run(options) {
            Ok(ended) => ended.exit_code(),
            Err(error) => {
                let code = error.exit_code();
                exit::print(&error.into());
                code
            }
        }))
    }
}
