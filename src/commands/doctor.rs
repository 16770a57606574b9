//! `windtunnel doctor`

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use coordinator::store::Place;
use coordinator::{Diagnosis, DoctorError, DoctorOptions};
use corpus::OpenDataset;
use futures::TryStreamExt;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::layout::{MANIFEST, dataset_path};
use serde::Serialize;
use storage::Storage;
use vocabulary::text::one_line;
use vocabulary::{ContentHash, DatasetId};

use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::data_dir;
use crate::logging::say;
use crate::views::output::{self, View, columns};

/// The longest manifest of a dataset that is read.
const LONGEST_MANIFEST: u64 = 16 << 20;

/// Check that a data directory holds everything that was committed, intact
///
/// Examines the event log and its hashes, snapshots and tables against the log, every byte of every committed checkpoint and of
/// every prepared dataset, the steps of curves, and orphaned files. It cannot check what has no hash: the values of curves, the
/// losses of documents, the text of recipes. No coordinator may be running. `--repair` records lost checkpoints as lost, so that
/// stages continue from earlier ones, rebuilds tables from the log, and deletes damaged snapshots and orphaned files. It never
/// changes past events.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel doctor
  windtunnel doctor --repair
  windtunnel doctor --store postgres://windtunnel@db-1/windtunnel")]
pub(crate) struct Args {
    /// Repair what can be repaired without inventing data
    #[arg(long)]
    repair: bool,

    /// Address of the store, as for `serve` [default: that of the data directory]
    ///
    /// A database remembers its storage, so nothing else is needed to examine it, from any machine that reaches both
    #[arg(long, value_name = "ADDRESS", env = "WINDTUNNEL_STORE", hide_env_values = true)]
    store: Option<String>,

    /// Minimum age of uncommitted files to touch
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    min_age: u64,
}

#[derive(Serialize)]
struct Examined {
    sound: bool,
    #[serde(flatten)]
    diagnosis: Diagnosis,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let Self { repair, store, min_age } = self;
        let place = store.as_deref().map(Place::parse).transpose().or_bad_input()?;
        let min_age = Duration::from_secs(min_age);
        let options = DoctorOptions { data_dir: data_dir(global)?, place, repair, min_age };
        let mut diagnosis =
            crate::local::runtime()?.block_on(coordinator::examine(&options)).map_err(|error| match error {
                DoctorError::NoStore { .. }
                | DoctorError::NoDatabase { .. }
                | DoctorError::NoStorage
                | DoctorError::Lock(_)
                | DoctorError::Led { .. }
                | DoctorError::Storage(_) => bad_input(error.into()),
                error => error.into(),
            })?;
        let storage = Storage::open(&diagnosis.storage)?;
        diagnosis.checks.push(match storage.directory() {
            Some(dir) => datasets(dir),
            None => crate::local::runtime()?.block_on(datasets_in_bucket(&storage))?,
        });
        let sound = diagnosis.is_sound();
        output::print(&Examined { sound, diagnosis }, global.json)?;
        Ok(if sound { Exit::Done } else { Exit::NotSound })
    }
}

/// Checks the content of every dataset in a storage.
fn datasets(storage: &Path) -> coordinator::Check {
    let entries = std::fs::read_dir(storage.join("datasets")).into_iter().flatten().flatten();
    let mut dirs: Vec<(DatasetId, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect();
    dirs.sort();
    let problem = |(id, dir): &(DatasetId, PathBuf)| {
        let error = OpenDataset::open(dir).and_then(|dataset| dataset.verify_as(*id)).err()?;
        Some(coordinator::Problem { what: one_line(&error), repaired: false })
    };
    let problems = dirs.iter().filter_map(problem).collect();
    coordinator::Check { name: "datasets", looked_at: dirs.len(), problems }
}

/// Checks the content of every dataset in a bucket, all of which crosses the network once.
async fn datasets_in_bucket(storage: &Storage) -> anyhow::Result<coordinator::Check> {
    let listed = storage.store().list_with_delimiter(Some(&StorePath::from("datasets"))).await;
    let folders = listed.context("cannot list the datasets")?.common_prefixes;
    let ids: Vec<DatasetId> = folders.iter().filter_map(|folder| folder.filename()?.parse().ok()).collect();
    let mut problems = Vec::new();
    for id in &ids {
        say(&format!("reading {id}"));
        if let Err(error) = verify_dataset(storage, id).await {
            let error: &dyn std::error::Error = error.as_ref();
            problems.push(coordinator::Problem { what: format!("{id}: {}", one_line(error)), repaired: false });
        }
    }
    Ok(coordinator::Check { name: "datasets", looked_at: ids.len(), problems })
}

/// Compares every file of a dataset with its hash in the manifest, and the manifest with the dataset's name.
async fn verify_dataset(storage: &Storage, id: &DatasetId) -> anyhow::Result<()> {
    let place = dataset_path(id);
    let get = async |name: &str| {
        let found = storage.store().get(&StorePath::from(format!("{place}/{name}"))).await;
        found.with_context(|| format!("cannot read {name}"))
    };
    let found = get(MANIFEST).await?;
    ensure!(found.meta.size <= LONGEST_MANIFEST, "{MANIFEST} is too long for a manifest");
    let text = found.bytes().await.with_context(|| format!("cannot read {MANIFEST}"))?;
    let manifest: corpus::Manifest = serde_json::from_slice(&text).with_context(|| format!("{MANIFEST} is damaged"))?;
    for file in manifest.files() {
        let mut content = get(&file.name).await?.into_stream();
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = content.try_next().await.with_context(|| format!("cannot read {}", file.name))? {
            hasher.update(&chunk);
        }
        ensure!(ContentHash::from(hasher.finalize()) == file.blake3, "{} is damaged: its hash differs", file.name);
    }
    ensure!(manifest.content_id() == *id, "its files are those of {}", manifest.content_id());
    Ok(())
}

impl View for Examined {
    fn table(&self) -> String {
        let row = |check: &coordinator::Check| {
            let repaired = check.problems.iter().filter(|problem| problem.repaired).count();
            [check.name.to_owned(), check.looked_at.to_string(), check.problems.len().to_string(), repaired.to_string()]
        };
        let rows: Vec<_> = self.diagnosis.checks.iter().map(row).collect();
        let mut text = columns(["checked", " looked at", " problems", " repaired"], &rows);
        for problem in self.diagnosis.checks.iter().flat_map(|check| &check.problems) {
            let repaired = if problem.repaired { " (repaired)" } else { "" };
            text.push_str(&format!("{}{repaired}\n", problem.what));
        }
        for what in &self.diagnosis.not_checked {
            text.push_str(&format!("not checked: {what}\n"));
        }
        text.push_str(if self.sound { "sound\n" } else { "not sound\n" });
        text
    }
}
