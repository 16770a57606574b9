//! The folder of one upload: what has arrived and is not in the storage yet.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use proto::layout::MANIFEST;
use vocabulary::ContentHash;
use vocabulary::dataset_manifest::FileEntry;

/// Follows a file's name while it arrives. Names of files in a manifest end otherwise.
const PART: &str = "part";

/// Follows a file's name once it is in the storage.
const STORED: &str = "stored";

/// Blocks: call it where that delays nobody.
#[derive(Debug, Clone)]
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Makes the folder, for this user alone, with the manifest in it.
    pub(super) fn make(&self, manifest: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let partial = self.0.join(format!("{MANIFEST}.{PART}"));
        write_whole(&partial, manifest)?;
        fs::rename(partial, self.0.join(MANIFEST))
    }

    /// The manifest that the upload began with.
    pub(super) fn manifest(&self) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(MANIFEST))
    }

    /// How many bytes of a file have arrived; `None` if all of it is in the storage.
    pub(super) fn arrived(&self, file: &FileEntry) -> Option<u64> {
        if self.path(file, STORED).exists() {
            return None;
        }
        let bytes = fs::metadata(self.path(file, PART)).map_or(0, |metadata| metadata.len());
        // One that is too long is not what it should be.
        Some(if bytes > file.bytes { 0 } else { bytes })
    }

    /// Adds a piece to the first `arrived` bytes of a file. What an earlier write left behind them goes.
    pub(super) fn append(&self, file: &FileEntry, arrived: u64, content: &[u8]) -> io::Result<()> {
        let path = self.path(file, PART);
        let mut part = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        part.set_len(arrived)?;
        part.seek(SeekFrom::Start(arrived))?;
        part.write_all(content)
    }

    /// The hash of what has arrived of a file.
    pub(super) fn hash(&self, file: &FileEntry) -> io::Result<ContentHash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(self.path(file, PART))?)?;
        Ok(hasher.finalize().into())
    }

    /// Where the bytes of a file are that have arrived.
    pub(super) fn part(&self, file: &FileEntry) -> PathBuf {
        self.path(file, PART)
    }

    /// Forgets what has arrived of a file.
    pub(super) fn discard(&self, file: &FileEntry) -> io::Result<()> {
        for kind in [PART, STORED] {
            remove(&self.path(file, kind))?;
        }
        Ok(())
    }

    /// Notes that a file is in the storage.
    pub(super) fn note_stored(&self, file: &FileEntry) -> io::Result<()> {
        write_whole(&self.path(file, STORED), b"")?;
        remove(&self.path(file, PART))
    }

    /// Removes the folder.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, file: &FileEntry, kind: &str) -> PathBuf {
        self.0.join(format!("{}.{kind}", file.name))
    }
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
