//! `windtunnel fit`

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::exit::Exit;
use crate::output;
use crate::results::Campaign;

/// Fit the scaling law to the losses of a campaign, and print it
///
/// Trains nothing and writes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel fit quickstart
  windtunnel fit quickstart --json
  windtunnel fit two-stage --set code --per byte")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it
    campaign: String,

    /// The held-out set whose loss is fitted, where the data has several domains, or their mean
    #[arg(long, value_name = "NAME", default_value = report::AVERAGE)]
    set: String,

    /// What the loss is counted in
    #[arg(long, value_enum, default_value_t = Per::Token)]
    per: Per,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Per {
    /// Nats a token
    Token,
    /// Nats a byte, which compares across tokenizers
    Byte,
}

impl From<Per> for report::Unit {
    fn from(per: Per) -> Self {
        match per {
            Per::Token => Self::Token,
            Per::Byte => Self::Byte,
        }
    }
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let fetched =
            with_coordinator(global, &self.coordinator, async |campaigns| Campaign::fetch(campaigns, name).await);
        output::print(&fetched?.fit(&self.set, self.per.into())?, global.json)?;
        Ok(Exit::Done)
    }
}
