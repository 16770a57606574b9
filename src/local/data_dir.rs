//! Directories a command writes to, created and checked before any work begins.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::args::Global;
use crate::exit::{OrBadInput, bad_input};

/// The data directory: `--data-dir`, or the platform's data directory.
pub(crate) fn data_dir(global: &Global) -> anyhow::Result<PathBuf> {
    let dir = match &global.data_dir {
        // It is not repeated: it may hold a password.
        Some(dir) if dir.to_string_lossy().contains("://") => {
            return Err(bad_input(anyhow!(
                "--data-dir is given an address and needs a directory: the address of a store is for --store, that of a \
                 storage for --storage"
            )));
        }
        Some(dir) => dir.clone(),
        None => directories::ProjectDirs::from("", "", "windtunnel")
            .map(|dirs| dirs.data_dir().to_owned())
            .ok_or_else(|| bad_input(anyhow!("no home directory found: give --data-dir")))?,
    };
    // Workers and coordinators may have another working directory.
    std::path::absolute(&dir).with_context(|| format!("cannot use {}", dir.display())).or_bad_input()
}

/// The directory of a campaign's results.
pub(crate) fn out_dir(asked: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    match asked {
        Some(asked) => Ok(asked.to_owned()),
        // The name may come from a coordinator.
        None if recipes::recipe::is_plain_name(name) => Ok(Path::new("out").join(name)),
        None => Err(anyhow!("the campaign's name {name:?} is not a valid folder name: give --out")),
    }
}

/// A writable directory. Directories created for it are removed on drop if still empty, so that a refused command leaves
/// nothing behind.
#[derive(Debug)]
pub(crate) struct WritableDir {
    path: PathBuf,
    /// Created directories, deepest first.
    made: Vec<PathBuf>,
}

impl WritableDir {
    /// Creates the directory if missing, and checks that it is writable.
    pub(crate) fn prepare(path: &Path, purpose: &str) -> anyhow::Result<Self> {
        Self::prepare_with_mode(path, purpose, 0o777)
    }

    /// Like [`WritableDir::prepare`] for the data directory, which only its owner may look into.
    pub(crate) fn prepare_private(path: &Path) -> anyhow::Result<Self> {
        Self::prepare_with_mode(path, "the data directory", 0o700)
    }

    fn prepare_with_mode(path: &Path, purpose: &str, mode: u32) -> anyhow::Result<Self> {
        let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let dir = Self { path: path.to_owned(), made: missing.map(Path::to_owned).collect() };
        let made = DirBuilder::new().recursive(true).mode(mode).create(path);
        let tried = made.and_then(|()| try_to_write(path));
        tried.with_context(|| format!("cannot write to {purpose} {}", path.display())).or_bad_input()?;
        Ok(dir)
    }

    /// Like [`WritableDir::prepare`], but the directory must be empty unless `may_hold_files`.
    pub(crate) fn prepare_empty(path: &Path, purpose: &str, may_hold_files: bool) -> anyhow::Result<Self> {
        if !may_hold_files && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(bad_input(anyhow!(
                "{purpose} {} is not empty: choose another, or give --force",
                path.display()
            )));
        }
        Self::prepare(path, purpose)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WritableDir {
    fn drop(&mut self) {
        for dir in &self.made {
            // Fails, as intended, if something was written.
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
    fn a_name_that_leads_elsewhere_is_no_folder() {
        assert_eq!(out_dir(None, "smoke.2").expect("a plain name"), Path::new("out/smoke.2"));
        for name in ["", ".", "..", "../out", "/etc", "a/b", "a\nb"] {
            assert!(out_dir(None, name).is_err(), "{name:?}");
            assert_eq!(out_dir(Some(Path::new("here")), name).expect("it was asked for"), Path::new("here"));
        }
    }

    #[test]
    fn what_was_made_goes_unless_something_is_written_to_it() {
        let root = tempfile::tempdir().expect("a directory");
        let deep = root.path().join("a/b");
        drop(WritableDir::prepare(&deep, "the data directory").expect("writable"));
        assert!(!root.path().join("a").exists());
        let dir = WritableDir::prepare(&deep, "the data directory").expect("writable");
        fs::write(dir.path().join("file"), b"").expect("written");
        drop(dir);
        assert!(deep.join("file").exists());
    }

    #[test]
    fn what_was_there_before_stays() {
        let root = tempfile::tempdir().expect("a directory");
        drop(WritableDir::prepare(root.path(), "the data directory").expect("writable"));
        assert!(root.path().is_dir());
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
