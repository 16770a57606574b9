//! What a machine has downloaded from a bucket, shared by its workers: each thing once, within a budget of bytes.
//!
//! ```text
//! DATA_DIR/cache/
//!   room.lock           held while somebody makes room
//!   NAME/lock           shared by those who use it; exclusive for who fills or removes it. Its time is the last use
//!   NAME/bytes          how much room it takes, written before it is filled
//!   NAME/partial/       being filled, or being removed
//!   NAME/content/       whole: it appears by a rename
//! ```
//!
//! The locks end with their processes, so a crash leaves nothing locked, and what it left half done belongs to whoever comes
//! next. What is in use is never removed. Whoever reads the content verifies it: the cache promises only that it was whole.

mod entry;
mod room;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use entry::InUse;
use entry::{BETWEEN_LOOKS, Entry, take};
pub(crate) use room::in_words;
use room::{Found, to_remove};

/// The files below the cache's folder.
const ROOM: &str = "room.lock";

/// How often something is looked for anew that others removed just before.
const TRIES: u32 = 20;

/// Where downloads are kept on this machine.
#[derive(Debug, Clone)]
pub struct NodeCache {
    dir: PathBuf,
    budget: u64,
    /// The folder of datasets that were prepared on this machine. They need no download.
    pub(crate) prepared: PathBuf,
}

/// Why something is not in the cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError<E: std::error::Error + 'static> {
    /// It cannot be downloaded.
    #[error(transparent)]
    Fill(E),
    /// The cache's folder cannot be used.
    #[error("cannot use the cache at {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It does not fit beside what is in use.
    #[error(
        "it takes {}, and the cache at {dir} may hold {}, of which {} are in use: give more --cache-bytes",
        in_words(*.needed), in_words(*.budget), in_words(*.in_use)
    )]
    NoRoom { needed: u64, budget: u64, in_use: u64, dir: PathBuf },
}

impl NodeCache {
    /// The cache below a worker's data directory, of at most so many bytes. The folder is made when it is needed.
    #[must_use]
    pub fn below(data_dir: &Path, budget: u64) -> Self {
        Self { dir: data_dir.join("cache"), budget, prepared: data_dir.join("datasets") }
    }

    /// Holds a thing in the cache for as long as the answer lives. If it is not there, it takes so many
    /// `bytes`, and `fill` writes it to a folder, for all who ask meanwhile.
    pub(crate) async fn hold<E, Fill>(
        &self,
        name: &str,
        bytes: u64,
        fill: impl Fn(PathBuf) -> Fill,
    ) -> Result<InUse, CacheError<E>>
    where
        E: std::error::Error + 'static,
        Fill: Future<Output = Result<(), E>>,
    {
        let entry = Entry::new(&self.dir, name);
        let io = |source| CacheError::Io { path: entry.dir.clone(), source };
        let mut fills = 0;
        while fills < TRIES {
            if let Some(held) = self.held(name).await.map_err(io)? {
                return Ok(held);
            }
            // Not waited for: whoever fills it uses it afterwards, and keeps a shared lock meanwhile.
            let Some(lock) = entry.try_exclusive() else {
                tokio::time::sleep(BETWEEN_LOOKS).await;
                continue;
            };
            if entry.is_whole() {
                continue;
            }
            fills += 1;
            self.make_room(&entry, bytes).await?;
            let partial = entry.fresh_partial().map_err(io)?;
            if let Err(error) = fill(partial).await {
                entry.clear().map_err(io)?;
                return Err(CacheError::Fill(error));
            }
            entry.complete().map_err(io)?;
            // Not turned into a shared one, which no system does at once: somebody may remove it in between.
            drop(lock);
        }
        Err(io(io::Error::other("it is removed again and again as soon as it is there: give more --cache-bytes")))
    }

    /// Holds a thing if it is in the cache. Waits for who fills it.
    pub(crate) async fn held(&self, name: &str) -> io::Result<Option<InUse>> {
        let entry = Entry::new(&self.dir, name);
        make_private(&self.dir)?;
        let lock = entry.shared().await?;
        if !entry.is_whole() {
            return Ok(None);
        }
        // The time of the last use. A file system that keeps none makes this the oldest, which costs a download at most.
        let _ = lock.set_modified(std::time::SystemTime::now());
        Ok(Some(InUse::new(entry.content(), lock)))
    }

    /// Removes a thing whose content is damaged. Processes that have it open keep what they have.
    pub(crate) async fn discard(&self, name: &str) -> io::Result<()> {
        let _room = take(&self.dir.join(ROOM), true).await?;
        let gone = self.dir.join(format!(".{name}.{}", std::process::id()));
        match fs::rename(Entry::new(&self.dir, name).content(), &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| fs::remove_dir_all(gone)),
        }
    }

    /// Removes the oldest things until there is room for another, and notes what that takes.
    async fn make_room<E: std::error::Error + 'static>(
        &self,
        wanted: &Entry,
        needed: u64,
    ) -> Result<(), CacheError<E>> {
        let io = |source| CacheError::Io { path: self.dir.clone(), source };
        let _room = take(&self.dir.join(ROOM), true).await.map_err(io)?;
        // Whoever holds this lock has left nothing half removed.
        let mut found = Vec::new();
        for listed in fs::read_dir(&self.dir).map_err(io)? {
            let listed = listed.map_err(io)?;
            let Some(name) = listed.file_name().to_str().map(str::to_owned) else { continue };
            if name.starts_with('.') {
                let _ = fs::remove_dir_all(listed.path());
                continue;
            }
            let entry = Entry::new(&self.dir, &name);
            if entry.dir != wanted.dir && listed.path().is_dir() {
                // The lock is kept until all is decided: nobody begins to use what is about to go.
                found.push(Found {
                    bytes: entry.bytes(),
                    last_use: entry.last_use(),
                    lock: entry.try_exclusive(),
                    entry,
                });
            }
        }
        let in_use = found.iter().filter(|found| found.lock.is_none()).map(|found| found.bytes).sum();
        let no_room = || CacheError::NoRoom { needed, budget: self.budget, in_use, dir: self.dir.clone() };
        for removed in to_remove(found, needed, self.budget).ok_or_else(no_room)? {
            tracing::info!(
                name = removed.entry.name(),
                bytes = removed.bytes,
                "removing it from the cache, to make room"
            );
            removed.entry.remove().map_err(io)?;
        }
        wanted.reserve(needed).map_err(io)
    }
}

/// Makes the cache's folder, for this user alone.
fn make_private(dir: &Path) -> io::Result<()> {
    if dir.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o700).create(dir) }
}

#[cfg(test)]
mod tests;
