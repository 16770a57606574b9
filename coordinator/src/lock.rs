//! One coordinator per data directory, and how others find it.
//!
//! A coordinator holds an operating-system lock on `coordinator.lock` until its process ends, however that happens, and
//! writes its addresses to `coordinator.json`. That file alone proves nothing: a coordinator that was killed leaves it behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::socket::url_of;

pub(crate) const LOCK_FILE: &str = "coordinator.lock";
const ADDRESS_FILE: &str = "coordinator.json";
/// Where earlier versions left a token.
const TOKEN_FILE: &str = "coordinator.token";

/// [`locate`] holds the lock for an instant, so a lock that is taken is tried again this often.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A running coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCoordinator {
    /// The address it listens on.
    pub url: String,
    /// Its process id.
    pub process_id: u32,
    /// The host name of the machine it runs on, for which the address holds: several machines may share the directory.
    #[serde(default)]
    pub machine: String,
    /// The socket for processes of the same user on that machine.
    #[serde(default)]
    pub socket: Option<PathBuf>,
}

/// Why a data directory cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another coordinator is using it.
    #[error("{} is in use by the coordinator{}: use that one, or stop it first", .data_dir.display(), describe(.by.as_ref()))]
    Held {
        /// The directory.
        data_dir: PathBuf,
        /// Which coordinator, if known: one that is just starting has not written its address yet.
        by: Option<LiveCoordinator>,
    },
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn describe(by: Option<&LiveCoordinator>) -> String {
    by.map_or_else(String::new, |by| format!(" at {} (process {})", by.url, by.process_id))
}

/// The lock on a data directory, released on drop.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    data_dir: PathBuf,
    lock: File,
}

impl LiveCoordinator {
    /// This process, at this address.
    pub(crate) fn here(url: String, socket: Option<PathBuf>) -> Self {
        Self { url, process_id: std::process::id(), machine: machine(), socket }
    }

    /// The address to dial from this machine: of the socket, if there is one.
    #[must_use]
    pub fn local_url(&self) -> String {
        self.socket.as_deref().map_or_else(|| self.url.clone(), url_of)
    }

    /// Whether it runs on this machine, so that its address can be dialled from here.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.machine.is_empty() || self.machine == machine()
    }
}

/// The host name of this machine; empty if it cannot be read.
pub(crate) fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

impl DataDirLock {
    /// Locks the directory, which must exist.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join(LOCK_FILE);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            // Whoever can open it can lock it.
            .mode(0o600)
            .open(&path)
            .map_err(|source| LockError::Write { path: path.clone(), source })?;
        for _ in 0..TRIES {
            match lock.try_lock() {
                Ok(()) => {
                    let _ = fs::remove_file(data_dir.join(TOKEN_FILE));
                    return Ok(Self { data_dir: data_dir.to_owned(), lock });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(source)) => return Err(LockError::Write { path, source }),
            }
        }
        Err(LockError::Held { data_dir: data_dir.to_owned(), by: read_address(data_dir) })
    }

    /// Writes where the coordinator listens.
    pub(crate) fn announce(&self, live: &LiveCoordinator) -> Result<(), LockError> {
        let path = self.data_dir.join(ADDRESS_FILE);
        let partial = path.with_extension("json.partial");
        let text = serde_json::to_vec_pretty(live).expect("an address always has a JSON form");
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| LockError::Write { path, source })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // The address goes first, so that nobody finds it with the lock free. Failures do no harm: the lock ends with the
        // process, and an address without a lock is ignored.
        let _ = fs::remove_file(self.data_dir.join(ADDRESS_FILE));
        let _ = self.lock.unlock();
    }
}

/// The coordinator that is running on a data directory, if any.
#[must_use]
pub fn locate(data_dir: &Path) -> Option<LiveCoordinator> {
    let lock = File::open(data_dir.join(LOCK_FILE)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_address(data_dir),
        _ => None,
    }
}

fn read_address(data_dir: &Path) -> Option<LiveCoordinator> {
    serde_json::from_slice(&fs::read(data_dir.join(ADDRESS_FILE)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> LiveCoordinator {
        LiveCoordinator { url: "http://127.0.0.1:4321".to_owned(), process_id: 17, machine: machine(), socket: None }
    }

    #[test]
    fn one_holds_it_and_others_are_told_who() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(locate(dir.path()), None, "nobody is there");
        let lock = DataDirLock::take(dir.path()).expect("it is free");
        lock.announce(&live()).expect("it can be written");
        assert_eq!(locate(dir.path()), Some(live()));

        let refused = DataDirLock::take(dir.path()).expect_err("it is taken");
        assert!(refused.to_string().contains("http://127.0.0.1:4321 (process 17)"), "{refused}");

        drop(lock);
        assert_eq!(locate(dir.path()), None);
        DataDirLock::take(dir.path()).expect("it is free again");
    }

    #[test]
    fn an_address_left_behind_is_not_believed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        drop(DataDirLock::take(dir.path()).expect("it is free"));
        fs::write(dir.path().join(ADDRESS_FILE), serde_json::to_vec(&live()).expect("JSON")).expect("it is written");
        assert_eq!(locate(dir.path()), None);
    }
}
