//! `windtunnel doctor`

use std::path::{Path, PathBuf};
use std::time::Duration;

use coordinator::{Diagnosis, DoctorError, DoctorOptions};
use corpus::OpenDataset;
use serde::Serialize;
use storage::Storage;
use vocabulary::DatasetId;
use vocabulary::text::one_line;

use crate::args::Global;
use crate::exit::{Exit, bad_input};
use crate::local::data_dir::data_dir;
use crate::views::output::{self, View, columns};

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
  windtunnel doctor --repair")]
pub(crate) struct Args {
    /// Repair what can be repaired without inventing data
    #[arg(long)]
    repair: bool,

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
        let Self { repair, min_age } = self;
        let options = DoctorOptions { data_dir: data_dir(global)?, repair, min_age: Duration::from_secs(min_age) };
        let mut diagnosis =
            crate::local::runtime()?.block_on(coordinator::examine(&options)).map_err(|error| match error {
                DoctorError::NoStore { .. }
                | DoctorError::Lock(_)
                | DoctorError::Led { .. }
                | DoctorError::Storage(_) => bad_input(error.into()),
                error => error.into(),
            })?;
        let address = coordinator::storage_address(&options.data_dir)?;
        if let Some(dir) = Storage::open(&address)?.directory() {
            diagnosis.checks.push(datasets(dir));
        } else {
            diagnosis.not_checked.push(format!("the datasets in {address}: whoever downloads one compares its hashes"));
        }
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
