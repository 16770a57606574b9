//! `windtunnel worker`

use std::time::Duration;

use vocabulary::WorkerId;
use worker::WorkerOptions;

use crate::cli::Global;
use crate::client::CoordinatorArgs;
use crate::data_dir::data_dir;
use crate::exit::{self, Exit, bad_input};

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

/// What a worker trains on.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Compute {
    /// What to train on: `auto`, `flex` (the CPU), `cuda:INDEX` or `wgpu`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: String,

    /// CPU threads of a worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,

    /// Memory of the device, in GiB [default: taken to be enough]
    ///
    /// Stages that are estimated to need more are left to other workers, and what the backward pass needs is computed
    /// again where keeping it would need more. Results do not depend on it
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub(crate) device_memory: Option<f64>,

    /// Seconds of training between two checkpoints of a stage; there is one at its end in any case [default: from their
    /// cost and how often workers are lost, within the recipe's bounds]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) checkpoint_interval: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1e9).contains(&seconds) { Ok(seconds) } else { Err("accepted: 0 to 1e9".to_owned()) }
}

fn gib(text: &str) -> Result<f64, String> {
    let gib: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&gib) { Ok(gib) } else { Err("accepted: 0.001 to 1e6".to_owned()) }
}

impl Compute {
    /// The arguments that give a worker the same.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Self { device, threads, device_memory, checkpoint_interval } = self;
        let mut arguments = vec!["--device".to_owned(), device.clone(), "--threads".to_owned(), threads.to_string()];
        if let Some(seconds) = checkpoint_interval {
            arguments.extend(["--checkpoint-interval".to_owned(), seconds.to_string()]);
        }
        if let Some(gib) = device_memory {
            arguments.extend(["--device-memory".to_owned(), gib.to_string()]);
        }
        arguments
    }

    /// Bytes of the device's memory, where they were said.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.device_memory.map(|gib| (gib * vocabulary::memory::GIB) as u64)
    }

    /// Whether a worker could use it: the same look it takes itself.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        minicpm::Compute::parse(&self.device, 1).map_err(|error| bad_input(error.into()))?;
        Ok(())
    }
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(global)?;
        let Some((coordinator_url, credentials)) = self.coordinator.find(&data_dir)? else {
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
