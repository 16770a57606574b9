//! Directories a command writes to: found or made, and found writable before any work begins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::cli::Global;
use crate::exit::{OrBadInput, bad_input};

/// The data directory: what `--data-dir` says, or the platform's place for the data of programs.
pub(crate) fn data_dir(global: &Global) -> anyhow::Result<PathBuf> {
    let dir = match &global.data_dir {
        Some(dir) => dir.clone(),
        None => directories::ProjectDirs::from("", "", "windtunnel")
            .map(|dirs| dirs.data_dir().to_owned())
            .ok_or_else(|| bad_input(anyhow!("there is no home directory to keep data in: give --data-dir")))?,
    };
    // Workers and coordinators may have another working directory.
    std::path::absolute(&dir).with_context(|| format!("cannot use {}", dir.display())).or_bad_input()
}

/// A directory that can be written to. What had to be made for it is taken away again, as far as it is empty, unless
/// the command gets as far as to [`keep`](Self::keep) it: a refused command leaves nothing behind.
#[derive(Debug)]
pub(crate) struct WritableDir {
    path: PathBuf,
    /// Directories that were not there, the deepest first.
    made: Vec<PathBuf>,
}

impl WritableDir {
    /// Makes the directory where it is missing, and tries to write in it.
    pub(crate) fn prepare(path: &Path, purpose: &str) -> anyhow::Result<Self> {
        let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let made = missing.map(Path::to_owned).collect();
        let dir = Self { path: path.to_owned(), made };
        let tried = fs::create_dir_all(path).and_then(|()| try_to_write(path));
        tried.with_context(|| format!("{purpose} {} cannot be written", path.display())).or_bad_input()?;
        Ok(dir)
    }

    /// From here on it stays.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.made.clear();
        self.path.clone()
    }
}

impl Drop for WritableDir {
    fn drop(&mut self) {
        for dir in &self.made {
            // One that is not empty is somebody else's by now.
            let _ = fs::remove_dir(dir);
        }
    }
}

fn try_to_write(dir: &Path) -> io::Result<()> {
    let probe = dir.join(format!(".writable-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_unless_it_is_kept() {
        let root = tempfile::tempdir().expect("a directory");
        let deep = root.path().join("a/b");
        drop(WritableDir::prepare(&deep, "the data directory").expect("writable"));
        assert!(!root.path().join("a").exists());
        let kept = WritableDir::prepare(&deep, "the data directory").expect("writable").keep();
        assert!(kept.is_dir());
        drop(WritableDir::prepare(&deep, "the data directory").expect("writable"));
        assert!(deep.is_dir(), "it was there before");
    }

    #[test]
    fn a_file_in_the_way_is_bad_input() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("file");
        fs::write(&file, b"").expect("written");
        let error = WritableDir::prepare(&file.join("data"), "the data directory").expect_err("a file is in the way");
        assert!(error.downcast_ref::<crate::exit::BadInput>().is_some(), "{error:#}");
    }
}
