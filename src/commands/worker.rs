//! `windtunnel worker`

use std::time::Duration;

use vocabulary::WorkerId;
use worker::WorkerOptions;

use crate::args::numbers::seconds;
use crate::args::{Compute, CoordinatorArgs, Global};
use crate::exit::{self, Exit, bad_input};
use crate::local::data_dir::data_dir;
use crate::local::reach::find;

/// Train for a coordinator, until told to go
///
/// The worker dials out and listens nowhere. It goes on while the coordinator is away, and connects again. Stopped by
/// SIGTERM, SIGUSR1 or Ctrl-C it finishes its step, writes a checkpoint and hands the stage back; a second signal ends it at
/// once, and loses nothing that is committed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel worker --coordinator https://login-1:7450 --token-file ~/.windtunnel-token --device cuda:0

Exit codes:
  0   its parent wants no more of it
  1   failed; starting it again may help
  69  the coordinator could not be reached for too long
  75  told to go by a signal, its work handed back as far as there was time
  78  cannot work as it is configured; starting it again does not help")]
pub(crate) struct Args {
    #[command(flatten)]
    coordinator: CoordinatorArgs,

    #[command(flatten)]
    compute: Compute,

    /// What people call it [default: after the machine]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Seconds from a signal to the end at the latest: to finish the step, write a checkpoint and hand the stage back
    ///
    /// Slurm and Kubernetes kill 30 seconds after they asked, unless they are told otherwise
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0, value_parser = seconds)]
    grace: f64,

    /// End after this many seconds without a word from the coordinator
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    give_up_after: u64,

    /// The identity of this process, given by the parent that starts it
    #[arg(long, value_name = "ID", hide = true)]
    worker_id: Option<WorkerId>,

    /// End when the standard input is closed, which is how a parent takes its workers with it
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
