//! `windtunnel pool`

mod add;
mod change;
mod kubernetes;
pub(super) mod settings;
mod view;

use std::path::Path;

use proto::v1::{AddPoolRequest, PoolChange};

use crate::args::{CoordinatorArgs, Global};
use crate::exit::{Exit, bad_input};
use crate::local::reach::with_reader;
use crate::views::output;
use view::{PoolView, Pools};

/// Get workers from Slurm or Kubernetes, as many as there is work for
///
/// A pool belongs to a coordinator that keeps running (`windtunnel serve`) and can run `sbatch` or reach a Kubernetes cluster. Its
/// jobs run workers that dial the coordinator; they outlive it, and end when there is nothing to do. Adding and
/// changing pools needs the scope `admin`: it starts jobs as the coordinator's user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel pool add slurm gpu --time 8h --max 16 -- -p gpu --mem=32G
  windtunnel pool show gpu
  windtunnel pool remove gpu")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The pool that a file describes.
pub(super) fn described_in(file: &Path) -> anyhow::Result<AddPoolRequest> {
    settings::read(file)?.into_request()
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(Box<add::AddArgs>),
    /// List pools
    #[command(after_help = "Example:\n  windtunnel pool list --json")]
    List {
        #[command(flatten)]
        coordinator: CoordinatorArgs,
    },
    /// Show a pool: each allocation, and why no other is requested
    #[command(after_help = "Example:\n  windtunnel pool show gpu")]
    Show {
        /// Name of the pool
        name: String,
        #[command(flatten)]
        coordinator: CoordinatorArgs,
    },
    /// Submit nothing more; jobs in the queue and on nodes continue
    #[command(after_help = "Example:\n  windtunnel pool pause gpu")]
    Pause(change::ChangeArgs),
    /// Submit again after a pause or a drain
    #[command(after_help = "Example:\n  windtunnel pool resume gpu")]
    Resume(change::ChangeArgs),
    /// Submit nothing more, cancel what waits, and let each worker go once it has nothing to do
    ///
    /// Workers continue while there is work; cancel the campaign to end them sooner
    #[command(after_help = "Example:\n  windtunnel pool drain gpu")]
    Drain(change::ChangeArgs),
    /// Drain a pool and forget it once nothing of it is left
    #[command(after_help = "Example:\n  windtunnel pool remove gpu")]
    Remove(change::ChangeArgs),
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add(args) => args.run(global),
            Command::List { coordinator } => {
                let pools = with_reader(global, &coordinator, async |campaigns| Ok(campaigns.list_pools().await?))?;
                output::print(&Pools { pools: pools.into_iter().map(PoolView::from).collect() }, global.json)?;
                Ok(Exit::Done)
            }
            Command::Show { name, coordinator } => {
                let pools = with_reader(global, &coordinator, async |campaigns| Ok(campaigns.list_pools().await?))?;
                let found = pools.into_iter().find(|pool| pool.name == name);
                let unknown = || bad_input(anyhow::anyhow!("no pool is called `{name}`: see `windtunnel pool list`"));
                output::print(&PoolView::from(found.ok_or_else(unknown)?), global.json)?;
                Ok(Exit::Done)
            }
            Command::Pause(args) => args.run(PoolChange::Pause, global),
            Command::Resume(args) => args.run(PoolChange::Resume, global),
            Command::Drain(args) => args.run(PoolChange::Drain, global),
            Command::Remove(args) => args.run(PoolChange::Remove, global),
        }
    }
}
