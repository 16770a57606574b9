//! Files written by a command.

use std::path::PathBuf;

use serde::Serialize;

use crate::views::output::columns;

/// Files in a folder.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FilesView {
    pub(crate) dir: PathBuf,
    pub(crate) files: Vec<FileView>,
}

/// A file in a folder.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FileView {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl FilesView {
    pub(crate) fn table(&self) -> String {
        let row = |file: &FileView| [file.name.clone(), file.bytes.to_string()];
        let rows: Vec<_> = self.files.iter().map(row).collect();
        let dir = self.dir.display().to_string();
        columns([&dir, " bytes"], &rows)
    }
}
