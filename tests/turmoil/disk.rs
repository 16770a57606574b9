//! The disks: the file system that holds the storage, as each host sees it, and another process at the store.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use coordinator::STORE_FILE;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::world::WORKERS;

/// What a storage has at its root.
const PARTS: [&str; 4] = [storage::MARKER, "datasets", "checkpoints", "probes"];

/// The marker of a storage that is not this coordinator's.
const OTHER_MARKER: &str = "0123456789abcdef0123456789abcdef\n";

/// The file system of the storage. Each worker sees it in a folder of links to it, in whose place another folder can be put.
pub(crate) struct FileServer {
    dir: PathBuf,
}

impl FileServer {
    /// Where the coordinator sees the storage.
    pub(crate) fn storage_in(dir: &Path) -> PathBuf {
        dir.join("storage")
    }

    /// One with a dataset, of which only the folder matters.
    pub(crate) fn new(dir: &Path, dataset: &str) -> Self {
        let server = Self { dir: dir.to_owned() };
        let make = |storage: &Path| {
            for folder in &PARTS[1..] {
                fs::create_dir_all(storage.join(folder)).expect("it is made");
            }
            fs::create_dir_all(storage.join(dataset)).expect("it is made");
            fs::write(storage.join(dataset).join("manifest.json"), "{}").expect("it is written");
        };
        let shared = Self::storage_in(dir);
        make(&shared);
        for worker in 0..WORKERS {
            fs::create_dir(server.seen_by(worker)).expect("it is made");
            for part in PARTS {
                symlink(shared.join(part), server.seen_by(worker).join(part)).expect("it is linked");
            }
            // Every other one is a mount point where nothing is mounted, the rest are storages of somebody else.
            fs::create_dir(server.other_of(worker)).expect("it is made");
            if worker % 2 == 1 {
                make(&server.other_of(worker));
                fs::write(server.other_of(worker).join(storage::MARKER), OTHER_MARKER).expect("it is written");
            }
        }
        server
    }

    /// The address of the storage for the worker of a host.
    pub(crate) fn address_at(&self, worker: usize) -> String {
        format!("file://{}", self.seen_by(worker).display())
    }

    fn seen_by(&self, worker: usize) -> PathBuf {
        self.dir.join(format!("seen-{worker}"))
    }

    fn other_of(&self, worker: usize) -> PathBuf {
        self.dir.join(format!("other-{worker}"))
    }

    fn unseen_by(&self, worker: usize) -> PathBuf {
        self.dir.join(format!("unseen-{worker}"))
    }

    /// The worker of a host sees another folder from now on.
    pub(crate) fn unshare(&self, worker: usize) {
        rename(&self.seen_by(worker), &self.unseen_by(worker));
        rename(&self.other_of(worker), &self.seen_by(worker));
    }

    /// It sees the storage again.
    pub(crate) fn share(&self, worker: usize) {
        rename(&self.seen_by(worker), &self.other_of(worker));
        rename(&self.unseen_by(worker), &self.seen_by(worker));
    }

    /// Every look at the storage fails from now on. A circle of links stands for a file server that does not answer.
    pub(crate) fn go_away(&self) {
        let storage = Self::storage_in(&self.dir);
        rename(&storage, &self.dir.join("away"));
        symlink(&storage, &storage).expect("it is linked");
    }

    /// The storage is there again, if it was away.
    pub(crate) fn come_back(&self) {
        let (storage, away) = (Self::storage_in(&self.dir), self.dir.join("away"));
        if away.exists() {
            fs::remove_file(&storage).expect("it is a link");
            rename(&away, &storage);
        }
    }
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap_or_else(|error| panic!("{} to {}: {error}", from.display(), to.display()));
}

/// A process that holds the write lock of the store at times, such as a database tool.
pub(crate) struct SecondWriter {
    runtime: tokio::runtime::Runtime,
    store: PathBuf,
    wants: bool,
    holds: Option<SqliteConnection>,
    /// How often it had the lock.
    pub(crate) held: usize,
}

impl SecondWriter {
    pub(crate) fn of(dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, store: dir.join(STORE_FILE), wants: false, holds: None, held: 0 }
    }

    /// Whether it wants the lock from now on.
    pub(crate) fn want(&mut self, wants: bool) {
        self.wants = wants;
        if let Some(connection) = self.holds.take_if(|_| !wants) {
            self.runtime.block_on(connection.close()).expect("it closes");
        }
    }

    /// Takes the lock if it wants it and the coordinator is not in the middle of a commit, which ends only in simulated time.
    pub(crate) fn try_to_write(&mut self) {
        if !self.wants || self.holds.is_some() {
            return;
        }
        let options = SqliteConnectOptions::new().filename(&self.store).busy_timeout(std::time::Duration::ZERO);
        let locked = self.runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        });
        self.holds = locked.ok();
        self.held += usize::from(self.holds.is_some());
    }
}
