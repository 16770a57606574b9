//! `windtunnel workers`

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_reader;
use crate::views::output;
use crate::views::{WorkerList, WorkerView};

/// List the workers: where each runs, what it does, and until when
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel workers")]
pub(crate) struct Args {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let workers = with_reader(global, &self.coordinator, async |campaigns| Ok(campaigns.workers().await?))?;
        let workers = workers.iter().map(WorkerView::from).collect();
        output::print(&WorkerList::new(workers), global.json)?;
        Ok(Exit::Done)
    }
}
