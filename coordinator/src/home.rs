//! Which storage a data directory has, and whether that is there.
//!
//! By default it is the data directory itself. Which other one was chosen is noted in the data directory, together with the
//! identifier that the marker at the storage's root has to have.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage::{AddressError, MARKER, Storage, StorageError, StorageId, address_of};
use url::Url;

use crate::passing::io_may_pass;
use crate::store::StorageNote;
use crate::verify::Verification;

/// The note in the data directory.
pub(crate) const NOTE: &str = "storage.json";

/// Why a data directory's storage is not used.
#[derive(Debug, thiserror::Error)]
pub enum StorageRefusal {
    /// What was given is neither an address nor a path.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It cannot be made.
    #[error("cannot make {} for datasets and checkpoints", .dir.display())]
    Make {
        /// The directory.
        dir: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It cannot be opened.
    #[error("cannot use {address} for datasets and checkpoints")]
    Open {
        /// The address of the storage.
        address: String,
        /// The cause.
        #[source]
        source: StorageError,
    },
    /// Its marker cannot be read or written.
    #[error("cannot read and write {MARKER} in {address}")]
    Marker {
        /// The address of the storage.
        address: String,
        /// The cause.
        #[source]
        source: object_store::Error,
    },
    /// The note cannot be read or written.
    #[error("cannot use {}, which says where the datasets and checkpoints lie", .path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Nothing that the coordinator knows is there.
    #[error(
        "{address} has no file {MARKER}, which marks it as the storage of {}: mount its file system, start where it is, or, of a \
         bucket, check the address and the endpoint",
        .data_dir.display()
    )]
    Unmarked {
        /// The address of the storage.
        address: String,
        /// The data directory.
        data_dir: PathBuf,
    },
    /// It is that of another data directory.
    #[error("{address} is the storage of another data directory: give {} one of its own", .data_dir.display())]
    Foreign {
        /// The address of the storage.
        address: String,
        /// The data directory.
        data_dir: PathBuf,
    },
    /// It is not the one that the store remembers, or its file system is not mounted.
    #[error(
        "{address} is not the storage that the store remembers: its file {MARKER} is absent or another one. Is its file system \
         mounted here?"
    )]
    OfAnotherStore {
        /// The address of the storage.
        address: String,
    },
    /// Datasets and checkpoints lie elsewhere.
    #[error(
        "the datasets and checkpoints of {} lie in {known}: to move them, copy datasets, checkpoints and {MARKER} from there \
         to {asked} and start again", .data_dir.display()
    )]
    Elsewhere {
        /// The data directory.
        data_dir: PathBuf,
        /// Where they lie.
        known: String,
        /// The address that was asked for.
        asked: String,
    },
}

impl StorageRefusal {
    /// Whether the storage may be used later without anybody changing what was asked for: a file server or a service that is
    /// away comes back.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Make { source, .. } | Self::Note { source, .. } => io_may_pass(source),
            // A folder that is not there may be mounted again.
            Self::Open { source, .. } => source.may_pass() || matches!(source, StorageError::Missing { .. }),
            Self::Marker { source, .. } => !matches!(
                source,
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
            ),
            Self::Unmarked { .. } | Self::OfAnotherStore { .. } => true,
            Self::Address(_) | Self::Foreign { .. } | Self::Elsewhere { .. } => false,
        }
    }
}

/// The storage of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    /// What workers open it by.
    pub(crate) address: String,
    /// What its marker says.
    pub(crate) id: StorageId,
    /// How much of a new checkpoint is read.
    pub(crate) verification: Verification,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Absent where it is the data directory itself, which may be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    id: String,
}

/// Opens the storage of a data directory that nobody else has open: the one that was asked for, or the one it had before,
/// or itself. `is_used` says whether the coordinator remembers something that lies in its storage.
pub(crate) async fn open(data_dir: &Path, asked: Option<&str>, is_used: bool) -> Result<Opened, StorageRefusal> {
    let own = own_address(data_dir)?;
    let note = Note::read(data_dir)?;
    let known = note.as_ref().map(|note| note.address.clone().unwrap_or_else(|| own.clone()));
    let asked = asked.map(address_of).transpose()?;
    let address = asked.clone().or_else(|| known.clone()).unwrap_or_else(|| own.clone());
    let is_new = known.as_ref() != Some(&address);
    if is_new {
        make(&address)?;
    }
    let storage =
        Storage::open(&address).map_err(|source| StorageRefusal::Open { address: address.clone(), source })?;
    let marker = |source| StorageRefusal::Marker { address: address.clone(), source };
    let found = StorageId::of(storage.store().as_ref()).await.map_err(marker)?;

    let elsewhere = |known: Option<&String>| StorageRefusal::Elsewhere {
        data_dir: data_dir.to_owned(),
        known: known.unwrap_or(&own).clone(),
        asked: address.clone(),
    };
    let foreign = || StorageRefusal::Foreign { address: address.clone(), data_dir: data_dir.to_owned() };
    let noted = note.as_ref().and_then(|note| note.id.parse::<StorageId>().ok());
    let id = match (noted, found) {
        // As noted; a copy of it is one too.
        (Some(noted), Some(found)) if noted == found => found,
        (Some(_), Some(_)) if is_new && is_used => return Err(elsewhere(known.as_ref())),
        (Some(_), Some(_)) => return Err(foreign()),
        // The data directory is certainly there.
        (Some(noted), None) if !is_new && address == own => noted,
        (Some(_), None) if !is_new => {
            return Err(StorageRefusal::Unmarked { address, data_dir: data_dir.to_owned() });
        }
        (Some(noted), None) if !is_used => noted,
        (Some(_), None) => return Err(elsewhere(known.as_ref())),
        // A data directory whose store and note somebody deleted.
        (None, Some(found)) if address == own => found,
        (None, Some(_)) if is_used => return Err(elsewhere(None)),
        (None, Some(_)) => return Err(foreign()),
        (None, None) if address == own || !is_used => StorageId::fresh(),
        (None, None) => return Err(elsewhere(None)),
    };
    if StorageId::of(storage.store().as_ref()).await.map_err(marker)?.as_ref() != Some(&id) {
        id.mark(storage.store().as_ref()).await.map_err(marker)?;
    }
    Note { address: Some(address.clone()).filter(|address| *address != own), id: id.to_string() }.write(data_dir)?;
    let verification = Verification::usual(&storage);
    Ok(Opened { storage: storage.tidy(), address, id, verification })
}

/// What a data directory has noted of its storage; `None` where it was never opened.
///
/// # Errors
/// If the note cannot be read.
pub(crate) fn noted(data_dir: &Path) -> Result<Option<StorageNote>, StorageRefusal> {
    let own = own_address(data_dir)?;
    let note = |Note { address, id }| StorageNote { address: address.unwrap_or(own), id };
    Ok(Note::read(data_dir)?.map(note))
}

/// Refuses a storage that is not the one of the other coordinators of a store.
///
/// # Errors
/// If another one is asked for.
pub(crate) fn expect(asked: Option<&str>, noted: &StorageNote, data_dir: &Path) -> Result<(), StorageRefusal> {
    let Some(asked) = asked.map(address_of).transpose()?.filter(|asked| *asked != noted.address) else { return Ok(()) };
    Err(StorageRefusal::Elsewhere { data_dir: data_dir.to_owned(), known: noted.address.clone(), asked })
}

/// Notes in a data directory which storage it has: that of the other coordinators of its store.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn note(data_dir: &Path, StorageNote { address, id }: &StorageNote) -> Result<(), StorageRefusal> {
    let own = own_address(data_dir)?;
    Note { address: Some(address.clone()).filter(|address| *address != own), id: id.clone() }.write(data_dir)
}

/// The storage of a data directory that is only read. One that is away does not keep people from the store.
pub(crate) fn look(data_dir: &Path) -> Result<Opened, StorageRefusal> {
    let address = storage_address(data_dir)?;
    let open = |source| StorageRefusal::Open { address: address.clone(), source };
    let storage = Storage::open(&address).or_else(|_| Storage::local(data_dir)).map_err(open)?;
    let noted = Note::read(data_dir)?.and_then(|note| note.id.parse().ok());
    let verification = Verification::usual(&storage);
    Ok(Opened { storage, id: noted.unwrap_or_else(StorageId::fresh), address, verification })
}

/// Opens the storage that a data directory has, without changing anything.
///
/// # Errors
/// If it cannot be opened, or is not marked as it should be.
pub(crate) async fn find(data_dir: &Path) -> Result<Storage, StorageRefusal> {
    let (own, address) = (own_address(data_dir)?, storage_address(data_dir)?);
    let storage =
        Storage::open(&address).map_err(|source| StorageRefusal::Open { address: address.clone(), source })?;
    let noted = Note::read(data_dir)?.and_then(|note| note.id.parse::<StorageId>().ok());
    let found = StorageId::of(storage.store().as_ref()).await;
    let found = found.map_err(|source| StorageRefusal::Marker { address: address.clone(), source })?;
    let storage = storage.tidy();
    match found {
        _ if address == own => Ok(storage),
        None => Err(StorageRefusal::Unmarked { address, data_dir: data_dir.to_owned() }),
        Some(_) if found != noted => Err(StorageRefusal::Foreign { address, data_dir: data_dir.to_owned() }),
        Some(_) => Ok(storage),
    }
}

/// Opens the storage that the coordinators of a store share, without changing anything.
///
/// # Errors
/// If it cannot be opened, or is not marked as it should be.
pub(crate) async fn find_noted(note: &StorageNote) -> Result<Storage, StorageRefusal> {
    let address = || note.address.clone();
    let storage = Storage::open(&note.address).map_err(|source| StorageRefusal::Open { address: address(), source })?;
    let found = StorageId::of(storage.store().as_ref()).await;
    let found = found.map_err(|source| StorageRefusal::Marker { address: address(), source })?;
    if found.is_none_or(|found| found.to_string() != note.id) {
        return Err(StorageRefusal::OfAnotherStore { address: address() });
    }
    Ok(storage.tidy())
}

/// The address of the storage that a data directory has: itself where none was ever chosen.
///
/// # Errors
/// If what was noted cannot be read.
pub fn storage_address(data_dir: &Path) -> Result<String, StorageRefusal> {
    match Note::read(data_dir)?.and_then(|note| note.address) {
        Some(address) => Ok(address),
        None => own_address(data_dir),
    }
}

fn own_address(data_dir: &Path) -> Result<String, StorageRefusal> {
    // As `file:///a/b`, whatever is in the names.
    let not_absolute = |()| StorageRefusal::Make {
        dir: data_dir.to_owned(),
        source: io::Error::new(ErrorKind::InvalidInput, "the path is not absolute"),
    };
    Ok(Url::from_file_path(data_dir).map_err(not_absolute)?.into())
}

/// Makes the folder of an address, where that is one.
fn make(address: &str) -> Result<(), StorageRefusal> {
    let folder = Url::parse(address).ok().filter(|url| url.scheme() == "file");
    let Some(dir) = folder.and_then(|url| url.to_file_path().ok()) else { return Ok(()) };
    fs::create_dir_all(&dir).map_err(|source| StorageRefusal::Make { dir, source })
}

impl Note {
    fn read(data_dir: &Path) -> Result<Option<Self>, StorageRefusal> {
        let path = data_dir.join(NOTE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| StorageRefusal::Note { path: path.clone(), source })?,
        };
        let note = serde_json::from_slice(&text);
        // What it says instead is not repeated: an address may hold a key.
        let malformed = |error: serde_json::Error| {
            let why = format!("it is damaged at line {}, column {}", error.line(), error.column());
            io::Error::new(ErrorKind::InvalidData, why)
        };
        note.map(Some).map_err(|error| StorageRefusal::Note { path, source: malformed(error) })
    }

    /// Writes it, if it is not there already.
    fn write(&self, data_dir: &Path) -> Result<(), StorageRefusal> {
        if Self::read(data_dir)?.as_ref() == Some(self) {
            return Ok(());
        }
        let path = data_dir.join(NOTE);
        let partial = path.with_extension("json.partial");
        let text = serde_json::to_vec_pretty(self).expect("a note always has a JSON form");
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| StorageRefusal::Note { path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn dirs() -> (TempDir, [PathBuf; 3]) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        let dirs = ["data", "shared", "other"].map(|name| root.join(name));
        fs::create_dir(&dirs[0]).expect("made");
        (dir, dirs)
    }

    fn copy_marker(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("made");
        fs::copy(from.join(MARKER), to.join(MARKER)).expect("copied");
    }

    #[tokio::test]
    async fn a_data_directory_is_its_own_storage_and_stays_it() {
        let (_dir, [data, shared, _]) = dirs();
        let first = open(&data, None, false).await.expect("it is new");
        assert_eq!(first.address, format!("file://{}", data.display()));
        fs::remove_file(data.join(MARKER)).expect("it is marked");
        let again = open(&data, None, true).await.expect("it is there");
        assert_eq!(again.id, first.id);
        let error = open(&data, shared.to_str(), true).await.expect_err("it has checkpoints");
        assert!(matches!(error, StorageRefusal::Elsewhere { .. }), "{error}");
        // Moved with all that is in it, it is its own storage still.
        let moved = data.with_file_name("moved");
        fs::rename(&data, &moved).expect("moved");
        assert_eq!(open(&moved, None, true).await.expect("it is there").id, first.id);
    }

    #[tokio::test]
    async fn the_storage_that_was_chosen_is_used_without_asking_again() {
        let (_dir, [data, shared, other]) = dirs();
        let first = open(&data, shared.to_str(), false).await.expect("it is new");
        for asked in [None, shared.to_str(), Some(first.address.as_str())] {
            let again = open(&data, asked, true).await.expect("it is the same");
            assert_eq!((&again.address, &again.id), (&first.address, &first.id));
        }
        assert_eq!(storage_address(&data).expect("it is noted"), first.address);
        let error = open(&data, other.to_str(), true).await.expect_err("it is another");
        assert!(error.to_string().contains("copy datasets, checkpoints and windtunnel-storage"), "{error}");
        copy_marker(&shared, &other);
        let moved = open(&data, other.to_str(), true).await.expect("it is a copy");
        assert_eq!(moved.id, first.id);
        assert_eq!(storage_address(&data).expect("it is noted"), moved.address);
    }

    #[tokio::test]
    async fn an_empty_folder_where_a_file_system_should_be_mounted_is_not_used() {
        let (_dir, [data, shared, _]) = dirs();
        open(&data, shared.to_str(), false).await.expect("it is new");
        let away = shared.with_extension("away");
        fs::rename(&shared, &away).expect("moved");
        let error = open(&data, None, true).await.expect_err("nothing is there");
        assert!(matches!(error, StorageRefusal::Open { .. }), "{error}");
        fs::create_dir(&shared).expect("made");
        for is_used in [false, true] {
            let error = open(&data, None, is_used).await.expect_err("it is empty");
            assert!(matches!(error, StorageRefusal::Unmarked { .. }), "{error}");
        }
        assert!(matches!(find(&data).await, Err(StorageRefusal::Unmarked { .. })));
        assert_eq!(fs::read_dir(&shared).expect("it is there").count(), 0, "nothing was written to it");
    }

    #[tokio::test]
    async fn two_data_directories_do_not_share_a_storage() {
        let (_dir, [data, shared, other]) = dirs();
        open(&data, shared.to_str(), false).await.expect("it is new");
        fs::create_dir(&other).expect("made");
        let error = open(&other, shared.to_str(), false).await.expect_err("it is taken");
        assert!(matches!(error, StorageRefusal::Foreign { .. }), "{error}");
    }
}
