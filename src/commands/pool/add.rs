//! `windtunnel pool add`

use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;

use super::kubernetes::KubernetesArgs;
use super::settings::{self, Described, SlurmArgs};
use super::view::PoolView;
use crate::args::{CoordinatorArgs, Global};
use crate::exit::{Exit, bad_input};
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Add a pool, from options or from a TOML file
///
/// Asks the batch system first if it would take such a job (`sbatch --test-only`, or a dry run of Kubernetes), and prints the
/// script or manifest of the jobs. Nothing is submitted before there is work.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel pool add slurm gpu --time 8h --max 16 -- -p gpu --mem=32G
  windtunnel pool add kubernetes gpu --image registry.example/windtunnel --max 16
  windtunnel pool add gpu.toml

The first as a file:
  kind = \"slurm\"
  name = \"gpu\"
  time = \"8h\"
  max = 16
  sbatch = [\"-p\", \"gpu\", \"--mem=32G\"]")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct AddArgs {
    #[command(subcommand)]
    kind: Option<Kind>,

    /// TOML file that describes the pool; its keys are the options of `pool add slurm` or `pool add kubernetes`
    #[arg(required = true)]
    file: Option<PathBuf>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Add a pool of Slurm jobs
    #[command(after_help = "\
Example:
  windtunnel pool add slurm gpu --time 8h --max 16 -- -p gpu --mem=32G
  windtunnel pool add slurm cpu --time 30m --max 4 --gpus-per-worker 0 \\
      --device flex -- --cpus-per-task=4")]
    Slurm {
        #[command(flatten)]
        slurm: Box<SlurmArgs>,

        #[command(flatten)]
        coordinator: CoordinatorArgs,
    },
    /// Add a pool of Kubernetes jobs
    #[command(after_help = "\
Example:
  windtunnel pool add kubernetes gpu --image registry.example/windtunnel --max 16
  windtunnel pool add kubernetes cpu --image registry.example/windtunnel --max 4 \\
      --gpus-per-worker 0 --device flex --cpu 4 --memory 8Gi --pod-spec pod.yaml")]
    Kubernetes {
        #[command(flatten)]
        kubernetes: Box<KubernetesArgs>,

        #[command(flatten)]
        coordinator: CoordinatorArgs,
    },
}

#[derive(Serialize)]
struct Added {
    pool: PoolView,
    /// What the batch system said of such a job.
    test: String,
    script: String,
}

impl AddArgs {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let (described, coordinator) = match (self.kind, &self.file) {
            (Some(Kind::Slurm { slurm, coordinator }), _) => (Described::Slurm(slurm), coordinator),
            (Some(Kind::Kubernetes { kubernetes, coordinator }), _) => (Described::Kubernetes(kubernetes), coordinator),
            (None, Some(file)) => (settings::read(file)?, self.coordinator),
            (None, None) => {
                let asked = "give a file that describes the pool, or `slurm` or `kubernetes` and their options";
                return Err(bad_input(anyhow!(asked)));
            }
        };
        let request = described.into_request()?;
        let answer = with_coordinator(global, &coordinator, async |campaigns| Ok(campaigns.add_pool(request).await?))?;
        let pool = PoolView::from(answer.pool.unwrap_or_default());
        output::print(&Added { pool, test: answer.said, script: answer.script }, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Added {
    fn table(&self) -> String {
        let Self { pool, test, script } = self;
        let test = if test.is_empty() {
            String::new()
        } else {
            format!("{}\n", vocabulary::text::wrapped(test, 2).trim_end())
        };
        format!("{script}\npool {} is added: see `windtunnel pool show {}`\n{test}", pool.name, pool.name)
    }
}
