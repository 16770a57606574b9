//! One thing in the cache, and its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often it is looked whether a lock is free. Locks are waited for without a thread, so that who waits can be stopped.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Keeps a thing in the cache. Dropping it, or the end of the process, lets it go.
#[derive(Debug)]
pub struct InUse {
    content: PathBuf,
    _lock: File,
}

impl InUse {
    pub(super) fn new(content: PathBuf, lock: File) -> Self {
        Self { content, _lock: lock }
    }

    /// Its folder.
    pub(crate) fn content(&self) -> &Path {
        &self.content
    }
}

/// The folder of a thing.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) dir: PathBuf,
}

impl Entry {
    pub(super) fn new(cache: &Path, name: &str) -> Self {
        Self { dir: cache.join(name) }
    }

    pub(super) fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn content(&self) -> PathBuf {
        self.dir.join("content")
    }

    fn partial(&self) -> PathBuf {
        self.dir.join("partial")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(super) fn is_whole(&self) -> bool {
        self.content().is_dir()
    }

    /// The room that it takes; nothing if it was never filled.
    pub(super) fn bytes(&self) -> u64 {
        fs::read_to_string(self.dir.join("bytes")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// When it was last used. What was not filled to its end is of no use, and the oldest.
    pub(super) fn last_use(&self) -> SystemTime {
        let used = || fs::metadata(self.lock_file()).and_then(|found| found.modified()).ok();
        if self.is_whole() { used().unwrap_or(SystemTime::UNIX_EPOCH) } else { SystemTime::UNIX_EPOCH }
    }

    pub(super) async fn shared(&self) -> io::Result<File> {
        take(&self.lock_file(), false).await
    }

    /// The exclusive lock, if nobody has any.
    pub(super) fn try_exclusive(&self) -> Option<File> {
        try_take(&self.lock_file(), true).ok().flatten()
    }

    /// Notes the room that it takes.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let mut file = File::create(self.dir.join("bytes"))?;
        writeln!(file, "{bytes}")
    }

    /// An empty folder to fill.
    pub(super) fn fresh_partial(&self) -> io::Result<PathBuf> {
        let partial = self.partial();
        remove_if_there(&partial)?;
        fs::create_dir(&partial)?;
        Ok(partial)
    }

    /// What was filled is whole.
    pub(super) fn complete(&self) -> io::Result<()> {
        fs::rename(self.partial(), self.content())?;
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets what was not filled to its end.
    pub(super) fn clear(&self) -> io::Result<()> {
        remove_if_there(&self.partial())?;
        match fs::remove_file(self.dir.join("bytes")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes it; the caller has its exclusive lock. A crash in the middle leaves nothing that looks whole.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove_if_there(&self.partial())?;
        if self.is_whole() {
            fs::rename(self.content(), self.partial())?;
        }
        self.clear()?;
        fs::remove_file(self.lock_file())?;
        // Somebody may have made another lock in it meanwhile.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }
}

fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Takes the lock on a file, which is made with its folder, as soon as it is free.
pub(super) async fn take(path: &Path, is_exclusive: bool) -> io::Result<File> {
    loop {
        if let Some(lock) = try_take(path, is_exclusive)? {
            return Ok(lock);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Takes the lock on a file if it is free, and still the file at this path.
fn try_take(path: &Path, is_exclusive: bool) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            // Whoever removes the folder just now has won; the next look makes it again.
            match options.open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            }
        }
        opened => opened?,
    };
    let locked = if is_exclusive { file.try_lock() } else { file.try_lock_shared() };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let same =
        |found: fs::Metadata| file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()));
    Ok(fs::metadata(path).is_ok_and(same).then_some(file))
}
