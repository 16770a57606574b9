//! Copies a whole store: from a data directory into a PostgreSQL database, or back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::STORE_FILE;
use crate::home::{self, StorageRefusal};
use crate::lock::{DataDirLock, LOCK_FILE, LockError};
use crate::start::{self, StartError};
use crate::store::{self, CopiedRows, CopyStoreError, Leader, NoteError, Place, Portable, Postgres, StoreError, Turn};

/// Where a store is copied from or to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// The file in this data directory, whatever store the directory has.
    Dir(PathBuf),
    Database(Postgres),
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{} has no store", .data_dir.display())]
    NoStore { data_dir: PathBuf },
    /// A coordinator is using the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("cannot open the data directory")]
    DataDir(#[source] StartError),
    /// A coordinator is using the database.
    #[error("{address} is in use by the coordinator {}: stop it first", .by.as_ref().map_or_else(String::new, Leader::to_string))]
    Led { address: String, by: Option<Leader> },
    #[error("cannot open {what}")]
    Open {
        what: String,
        #[source]
        source: StoreError,
    },
    #[error(transparent)]
    Copy(#[from] CopyStoreError),
    #[error(transparent)]
    Storage(#[from] StorageRefusal),
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// A store that nobody else writes.
struct Held {
    store: Arc<dyn Portable>,
    data_dir: Option<PathBuf>,
    _lock: Option<DataDirLock>,
}

/// Copies everything into an empty store, or nothing, while no coordinator runs on either. `progress` is told of each page: its
/// table, and its rows so far.
///
/// # Errors
/// If there is nothing to copy, a coordinator uses one of them, the target has data, or something cannot be read or written.
pub async fn copy_store(
    from: &Side,
    to: &Side,
    progress: &mut (dyn FnMut(&'static str, u64) + Send),
) -> Result<CopiedRows, CopyError> {
    if let Side::Dir(dir) = from
        && !dir.join(STORE_FILE).is_file()
    {
        return Err(CopyError::NoStore { data_dir: dir.clone() });
    }
    let from = Held::open(from).await?;
    let copied = copy_held(&from, to, progress).await;
    from.store.close().await;
    copied
}

async fn copy_held(
    from: &Held,
    to: &Side,
    progress: &mut (dyn FnMut(&'static str, u64) + Send),
) -> Result<CopiedRows, CopyError> {
    if !from.store.has_tables().await.map_err(CopyStoreError::Store)? {
        return Err(CopyError::NoStore { data_dir: PathBuf::from("the database") });
    }
    let before = match to {
        Side::Dir(dir) => Some(Before::of(dir)),
        Side::Database(_) => None,
    };
    let copied = match Held::open(to).await {
        Ok(to) => {
            let copied = copy_between(from, &to, progress).await;
            to.store.close().await;
            copied
        }
        Err(error) => Err(error),
    };
    match (&copied, before) {
        // Whatever is made there now, the other one makes.
        (Ok(_) | Err(CopyError::Lock(_)), _) | (_, None) => {}
        (Err(_), Some(before)) => before.restore(),
    }
    copied
}

/// The state of a directory before something is copied into it.
struct Before {
    dir: PathBuf,
    is_there: bool,
    /// Files that a copy makes, and that were not there.
    missing: Vec<PathBuf>,
}

impl Before {
    fn of(dir: &Path) -> Self {
        let wal = ["", "-wal", "-shm"].map(|ending| format!("{STORE_FILE}{ending}"));
        let files = wal.into_iter().chain([home::NOTE.to_owned(), LOCK_FILE.to_owned()]);
        let missing =
            if dir.join(STORE_FILE).exists() { Vec::new() } else { files.map(|name| dir.join(name)).collect() };
        let missing = missing.into_iter().filter(|file| !file.exists()).collect();
        Self { dir: dir.to_owned(), is_there: dir.exists(), missing }
    }

    /// Removes what a copy that failed has made.
    fn restore(self) {
        for file in self.missing {
            let _ = std::fs::remove_file(file);
        }
        if !self.is_there {
            // Fails, as intended, if something else is in it.
            let _ = std::fs::remove_dir(self.dir);
        }
    }
}

async fn copy_between(
    from: &Held,
    to: &Held,
    progress: &mut (dyn FnMut(&'static str, u64) + Send),
) -> Result<CopiedRows, CopyError> {
    let failed = |source| CopyError::Copy(CopyStoreError::Store(source));
    // Datasets and checkpoints stay where they are, and whoever opens the copy has to find them there.
    let note = match &from.data_dir {
        Some(dir) => home::noted(dir)?,
        None => from.store.noted_storage().await.map_err(failed)?,
    };
    let copied = store::copy(from.store.as_ref(), to.store.as_ref(), progress).await?;
    if let Some(note) = note {
        match &to.data_dir {
            Some(dir) => home::note(dir, &note)?,
            None => {
                let term = to.store.begin_term().await.map_err(failed)?;
                to.store.note_storage(term, &note).await.map_err(failed)?;
            }
        }
    }
    Ok(copied)
}

impl Held {
    async fn open(side: &Side) -> Result<Self, CopyError> {
        match side {
            Side::Dir(dir) => {
                let data_dir = start::make_data_dir(dir).map_err(CopyError::DataDir)?;
                let lock = start::take_lock(&data_dir).await?;
                let store = open(&Place::File, &data_dir, data_dir.display().to_string()).await?;
                Ok(Self { store, data_dir: Some(data_dir), _lock: Some(lock) })
            }
            Side::Database(address) => {
                let what = address.url().to_owned();
                let store = open(&Place::Postgres(address.clone()), Path::new(""), what.clone()).await?;
                match store.take_turn().await {
                    Ok(Turn::Taken) => Ok(Self { store, data_dir: None, _lock: None }),
                    Ok(Turn::Held(by)) => Err(CopyError::Led { address: what, by }),
                    Err(source) => Err(CopyError::Open { what, source }),
                }
            }
        }
    }
}

async fn open(place: &Place, data_dir: &Path, what: String) -> Result<Arc<dyn Portable>, CopyError> {
    store::open_portable(place, data_dir).await.map_err(|source| CopyError::Open { what, source })
}
