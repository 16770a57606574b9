//! The result of a campaign.

use report::{Conclusion, Files, FitFile};
use serde::Serialize;

use super::View;

/// The output of `windtunnel fit` for a campaign: as JSON, the contents of `fit.json`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct FitView {
    #[serde(skip)]
    table: String,
    fit: FitFile,
}

/// The output of `windtunnel run` and `windtunnel report`.
#[derive(Debug, Serialize)]
pub(crate) struct ResultView {
    fit: FitView,
    files: FilesWritten,
}

/// Paths of the files.
#[derive(Debug, Serialize)]
struct FilesWritten {
    points: String,
    fit: String,
    report: String,
}

impl From<&Conclusion> for FitView {
    fn from(conclusion: &Conclusion) -> Self {
        Self { table: conclusion.table(), fit: conclusion.fit_file() }
    }
}

impl ResultView {
    pub(crate) fn new(conclusion: &Conclusion, files: Files) -> Self {
        let [points, fit, report] = [files.points, files.fit, files.report].map(|path| path.display().to_string());
        Self { fit: FitView::from(conclusion), files: FilesWritten { points, fit, report } }
    }
}

impl View for FitView {
    fn table(&self) -> String {
        self.table.clone()
    }
}

impl View for ResultView {
    fn table(&self) -> String {
        let FilesWritten { points, fit, report } = &self.files;
        format!("{}\n{points}\n{fit}\n{report}\n", self.fit.table)
    }
}
