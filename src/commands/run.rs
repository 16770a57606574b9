//! `windtunnel run`

use std::path::{Path, PathBuf};

use client::Campaigns;
use coordinator::store::Place;
use recipes::Recipe;

use crate::args::{Global, TrainingArgs};
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::{WritableDir, data_dir, out_dir};
use crate::local::file_system::warn_if_shared;
use crate::local::preparing::{check_sources, prepare_data};
use crate::local::reach::upload;
use crate::local::signals::Interrupts;
use crate::local::training::{Training, conclude, interrupted};

/// Run a campaign: prepare data, train what is missing, fit the law, write the report
///
/// If stopped or killed, the same command continues where it was. Once the campaign is finished, it trains nothing and
/// prints the same result. If a coordinator already serves the data directory, that coordinator and its workers do the work.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel run recipes/quickstart.toml
  windtunnel run recipes/quickstart.toml --workers 8 --device cuda:0")]
pub(crate) struct Args {
    /// Recipe file
    recipe: PathBuf,

    #[command(flatten)]
    training: TrainingArgs,

    /// URL or path of the storage of datasets and checkpoints [default: as before, at first the data directory]
    ///
    /// A bucket is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, with keys and endpoint in AWS_*, GOOGLE_*
    /// or AZURE_*
    #[arg(long, value_name = "URL|PATH")]
    storage: Option<String>,

    /// Address of the store: postgres://USER@HOST/DATABASE, or `sqlite` for the file in the data directory [default: as
    /// before, at first `sqlite`]
    ///
    /// `serve --help` says what the database has to be. The data directory remembers the address
    #[arg(long, value_name = "ADDRESS", env = "WINDTUNNEL_STORE", hide_env_values = true)]
    store: Option<String>,

    /// Directory for points.csv, fit.json and report.html [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        // Validate everything before writing anything.
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        self.training.own.compute.check()?;
        check_sources(&recipe)?;
        let store = self.store.as_deref().map(Place::parse).transpose().or_bad_input()?;
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        warn_if_shared(data_dir.path());
        let out = WritableDir::prepare(&out_dir(self.out.as_deref(), recipe.name())?, "the directory of results")?;

        let runtime = crate::local::runtime()?;
        let outcome = runtime.block_on(self.work(recipe, data_dir.path(), store.as_ref(), out.path(), global));
        // Preparation cannot be interrupted; do not wait for it.
        runtime.shutdown_background();
        outcome
    }

    async fn work(
        &self,
        recipe: Recipe,
        data_dir: &Path,
        store: Option<&Place>,
        out: &Path,
        global: &Global,
    ) -> anyhow::Result<Exit> {
        let mut interrupts = Interrupts::listen()?;
        let preparation = {
            let (recipe, data_dir) = (recipe.clone(), data_dir.to_owned());
            tokio::task::spawn_blocking(move || prepare_data(&recipe, &data_dir))
        };
        let prepared = tokio::select! {
            prepared = preparation => prepared??,
            () = interrupts.next() => return Ok(interrupted()),
        };
        let training = Training { by: &self.training, data_dir, storage: self.storage.as_deref(), store };
        let ask = async |campaigns: &mut Campaigns| {
            upload(campaigns, &prepared).await?;
            Ok(client::submit(campaigns, &recipe, &prepared.dataset, None).await?)
        };
        match training.see_through(&mut interrupts, ask).await? {
            Some(measured) => conclude(measured, out, global).await,
            None => Ok(interrupted()),
        }
    }
}
