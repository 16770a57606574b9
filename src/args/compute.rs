//! The device to train on, and the number of workers.

use super::CoordinatorArgs;
use super::numbers::{bytes, gib, seconds};
use crate::exit::bad_input;

/// The device of a worker.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Compute {
    /// Device to train on: `auto`, `flex` (the CPU), `cuda:INDEX` or `wgpu`
    ///
    /// Several, as in `cuda:0,cuda:1`, share the passes of each training step; results do not depend on how many they are
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: String,

    /// CPU threads per worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,

    /// Device memory in GiB [default: assumed sufficient]
    ///
    /// Stages estimated to need more are left to other workers, and activations are recomputed where keeping them would
    /// need more. Results do not depend on it
    #[arg(long, value_name = "GIB", value_parser = gib)]
    pub(crate) device_memory: Option<f64>,

    /// Seconds of training between checkpoints; a stage always ends with one [default: derived from their cost and the rate
    /// of lost workers, within the recipe's bounds]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) checkpoint_interval: Option<f64>,
}

impl Compute {
    /// The same settings as arguments of `windtunnel worker`.
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

    /// Device memory in bytes, if given.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.device_memory.map(|gib| (gib * vocabulary::memory::GIB) as u64)
    }

    /// Checks that a worker could use the device, as the worker itself will.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        minicpm::Compute::parse(&self.device, 1).map_err(|error| bad_input(error.into()))?;
        Ok(())
    }
}

/// How workers leave.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Leaving {
    /// Seconds allowed a worker that is told to leave to finish the step, write a checkpoint and hand the stage back
    ///
    /// By default, Slurm and Kubernetes kill a process 30 seconds after asking it to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0, value_parser = seconds)]
    pub(crate) grace: f64,
}

/// What a machine keeps of what its workers download.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Downloads {
    /// Bytes of datasets and checkpoints from a bucket kept on this machine, such as 64G
    ///
    /// They lie in DATA_DIR/cache, once for all workers of the data directory. The oldest go first, and never what is in use. A
    /// storage in a folder is read in place
    #[arg(long, value_name = "BYTES", default_value = "100G", value_parser = bytes)]
    pub(crate) cache_bytes: u64,
}

/// The workers of an embedded coordinator.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OwnWorkers {
    /// Worker processes to start on this machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: u16,

    #[command(flatten)]
    pub(crate) compute: Compute,

    #[command(flatten)]
    pub(crate) leaving: Leaving,

    #[command(flatten)]
    pub(crate) downloads: Downloads,
}

/// Who trains the campaign.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TrainingArgs {
    #[command(flatten)]
    pub(crate) own: OwnWorkers,

    #[command(flatten)]
    pub(crate) coordinator: CoordinatorArgs,
}
