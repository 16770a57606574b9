//! The files of a report, each written completely or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use scaling::Law;

use crate::conclude::conclusion::Conclusion;
use crate::conclude::fit_file::FitFile;
use crate::conclude::table_fit::TableFit;

/// Paths of the written files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `points.csv`
    pub points: PathBuf,
    /// `fit.json`
    pub fit: PathBuf,
    /// `report.html`
    pub report: PathBuf,
}

/// Paths of the files written for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// `fit.json`
    pub fit: PathBuf,
    /// `report.html`
    pub report: PathBuf,
}

/// A file of the report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
pub struct WriteError {
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl Conclusion {
    /// Writes the three files into a directory, replacing existing ones.
    ///
    /// # Errors
    /// A file cannot be written; the existing one is then left in place.
    pub fn write(&self, directory: &Path) -> Result<Files, WriteError> {
        Ok(Files {
            points: replace(directory.join("points.csv"), &self.points_csv())?,
            fit: replace(directory.join("fit.json"), &json(&self.fit_file()))?,
            report: replace(directory.join("report.html"), &self.html())?,
        })
    }
}

impl<L: Law> TableFit<L> {
    /// Writes `fit.json` and `report.html` into a directory, replacing existing ones.
    ///
    /// # Errors
    /// A file cannot be written; the existing one is then left in place.
    pub fn write(&self, directory: &Path) -> Result<TableFiles, WriteError> {
        Ok(TableFiles {
            fit: replace(directory.join("fit.json"), &json(&self.fit_file()))?,
            report: replace(directory.join("report.html"), &self.html())?,
        })
    }
}

/// The bytes of `fit.json`.
fn json<L: Law>(fit: &FitFile<L>) -> String {
    let mut text = serde_json::to_string_pretty(fit).expect("a fit always has a JSON form");
    text.push('\n');
    text
}

/// Writes under another name first, so that readers see the old file or the new one, even after a crash.
fn replace(path: PathBuf, contents: &str) -> Result<PathBuf, WriteError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(contents.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, &path));
    match written {
        Ok(()) => Ok(path),
        Err(source) => {
            // An unfinished file is of no use.
            let _ = fs::remove_file(&unfinished);
            Err(WriteError { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_no_other_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        for contents in ["a long first version", "short"] {
            let path = replace(dir.path().join("points.csv"), contents).expect("written");
            assert_eq!(fs::read_to_string(path).expect("read"), contents);
        }
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("points.csv/inside")).expect("made");
        let error = replace(dir.path().join("points.csv"), "x").expect_err("a folder is in the way");
        assert!(error.to_string().ends_with("points.csv"));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
