//! `windtunnel pool pause`, `resume`, `drain` and `remove`

use proto::v1::PoolChange;

use super::view::PoolView;
use crate::args::{CoordinatorArgs, Global};
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output;

#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// Name of the pool
    name: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl ChangeArgs {
    pub(super) fn run(self, change: PoolChange, global: &Global) -> anyhow::Result<Exit> {
        let changed = with_coordinator(global, &self.coordinator, async |campaigns| {
            Ok(campaigns.change_pool(&self.name, change).await?)
        })?;
        output::print(&PoolView::from(changed), global.json)?;
        Ok(Exit::Done)
    }
}
