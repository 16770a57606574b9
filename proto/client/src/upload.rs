//! Uploading prepared data to a coordinator's storage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path as StorePath;
use proto::layout::{MANIFEST, is_partial_name, partial_name};
use proto::limits::MAX_DATASET_MANIFEST_BYTES;
use tokio::io::AsyncWriteExt;
use vocabulary::DatasetId;

use crate::CallError;

/// Parts of a file that are sent at the same time. Each is held in memory meanwhile.
const PARTS_AT_ONCE: usize = 4;

/// An unfinished copy is removed once nothing has been written into it for this long.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

/// An opened storage of a coordinator.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its address.
    pub url: String,
    /// The object store, by paths below the root.
    pub store: Arc<dyn ObjectStore>,
    /// The root directory, if it is on this machine.
    pub directory: Option<PathBuf>,
}

/// Progress of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upload {
    /// Copying files to a folder.
    Copying(PathBuf),
    /// Sending files to a path in the store.
    Sending(String),
    /// Sending files through the coordinator: so many bytes of so many have arrived.
    Relaying { done: u64, total: u64 },
    /// The connection is broken, or the coordinator cannot take more now. What has arrived stays.
    Waiting {
        /// The cause, for people.
        why: String,
    },
}

/// Why a dataset could not be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// A file could not be copied.
    #[error("cannot copy {dataset} to {}", to.display())]
    Copy {
        dataset: DatasetId,
        /// The storage.
        to: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The coordinator does not take it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The manifest of the prepared data cannot be sent.
    #[error("the manifest of {dataset} is longer than the {MAX_DATASET_MANIFEST_BYTES} bytes that a coordinator takes")]
    Manifest { dataset: DatasetId },
    /// What was sent is not what the manifest says.
    #[error(
        "{file} did not arrive as its manifest says, {times} times: {} is damaged, or the way to the coordinator; delete the \
         folder to have the data prepared again", dir.display()
    )]
    Damaged {
        file: String,
        times: u32,
        /// The prepared data.
        dir: PathBuf,
    },
    /// The coordinator answers, and nothing follows from it.
    #[error("the coordinator does not get further with {dataset}, which begins anew with each try")]
    Stuck { dataset: DatasetId },
    /// A file could not be read or sent.
    #[error("cannot send {dataset} to {to}")]
    Send {
        dataset: DatasetId,
        /// The storage.
        to: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Copies a dataset into a coordinator's storage, unless it is already there. `tell` is called before copying.
///
/// # Errors
/// A file cannot be read, copied or sent.
pub async fn upload_dataset(
    id: &DatasetId,
    dir: &Path,
    storage: &Destination,
    tell: &mut impl FnMut(&Upload),
) -> Result<(), UploadError> {
    let place = proto::layout::dataset_path(id);
    let Destination { url, store, directory } = storage;
    match directory {
        Some(root) => copy(id, dir, &root.join(&place), tell).map_err(|source| UploadError::Copy {
            dataset: *id,
            to: root.clone(),
            source,
        }),
        None => send(dir, store, &place, tell).await.map_err(|source| UploadError::Send {
            dataset: *id,
            to: url.clone(),
            source,
        }),
    }
}

/// Copies to a temporary folder and renames it, so that a folder with the dataset's name is always complete.
fn copy(id: &DatasetId, from: &Path, to: &Path, tell: &mut impl FnMut(&Upload)) -> io::Result<()> {
    let parent = to.parent().unwrap_or(Path::new(""));
    remove_abandoned(id, parent);
    // The manifest is the last file to be written, however the folder came there.
    let is_whole = || to.join(MANIFEST).is_file();
    if is_whole() {
        return Ok(());
    }
    tell(&Upload::Copying(to.to_owned()));
    let partial = parent.join(partial_name(id));
    let copied = copy_files(from, &partial).and_then(|()| match std::fs::rename(&partial, to) {
        // What a broken upload left there, or one through the coordinator has put there so far: the same files.
        Err(_) if to.is_dir() && !is_whole() => move_files(&partial, to),
        renamed => renamed,
    });
    if copied.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    // Another process may have copied the same content first.
    if is_whole() { sync_dir(parent) } else { copied }
}

/// Removes copies that killed processes left unfinished. Failing to remove one must not stop the upload.
fn remove_abandoned(id: &DatasetId, parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_partial = entry.file_name().to_str().is_some_and(|name| is_partial_name(name, id));
        if is_partial && is_abandoned(&entry.path()).unwrap_or(false) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether nothing was written into a folder for some time.
fn is_abandoned(dir: &Path) -> io::Result<bool> {
    let mut latest = std::fs::metadata(dir)?.modified()?;
    for file in files(dir)? {
        latest = latest.max(std::fs::metadata(file)?.modified()?);
    }
    Ok(latest.elapsed().is_ok_and(|age| age > ABANDONED_AFTER))
}

/// Makes a rename survive a power failure, which requires its folder to be on disk.
fn sync_dir(dir: &Path) -> io::Result<()> {
    match std::fs::File::open(dir).and_then(|opened| opened.sync_all()) {
        // Not every platform opens folders.
        Err(error) if cfg!(unix) => Err(error),
        _ => Ok(()),
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::create_dir(to)?;
    for path in files(from)? {
        let copy = to.join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, &copy)?;
        std::fs::File::open(&copy)?.sync_all()?;
    }
    Ok(())
}

/// Moves the files of a dataset into a folder that has some of them, the manifest last.
fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    let mut files = files(from)?;
    files.sort_by_key(|path| path.ends_with(MANIFEST));
    for path in files {
        std::fs::rename(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    sync_dir(to)?;
    std::fs::remove_dir(from)
}

/// Sends the manifest last, so that its presence implies the other files.
async fn send(
    from: &Path,
    store: &Arc<dyn ObjectStore>,
    place: &str,
    tell: &mut impl FnMut(&Upload),
) -> io::Result<()> {
    let at = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        StorePath::from(format!("{place}/{name}"))
    };
    let there = store.list_with_delimiter(Some(&StorePath::from(place))).await?.objects;
    // An upload that was cut short leaves files without a manifest; somebody may have deleted a file from under one.
    let is_there = |path: &PathBuf| {
        let bytes = std::fs::metadata(path).map(|file| file.len());
        let found = there.iter().find(|object| object.location == at(path));
        found.zip(bytes.ok()).is_some_and(|(object, bytes)| object.size == bytes)
    };
    let mut files = files(from)?;
    files.retain(|path| !is_there(path));
    let has_manifest = there.iter().any(|object| object.location == at(Path::new(MANIFEST)));
    if has_manifest && files.is_empty() {
        return Ok(());
    }
    tell(&Upload::Sending(place.to_owned()));
    files.sort_by_key(|path| path.ends_with(MANIFEST));
    for path in files {
        let mut content = tokio::fs::File::open(&path).await?;
        let mut writer = BufWriter::new(store.clone(), at(&path)).with_max_concurrency(PARTS_AT_ONCE);
        tokio::io::copy(&mut content, &mut writer).await?;
        writer.shutdown().await?;
    }
    Ok(())
}

/// The files of a dataset, which has no subfolders.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    fn dataset(dir: &Path) {
        std::fs::create_dir_all(dir).expect("made");
        for name in [MANIFEST, "train.npy"] {
            std::fs::write(dir.join(name), name).expect("written");
        }
    }

    #[tokio::test]
    async fn a_dataset_is_copied_once_and_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, root) = (dir.path().join("from"), dir.path().join("root"));
        std::fs::create_dir_all(&root).expect("made");
        dataset(&from);
        let id = DatasetId::from_content(b"a dataset");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let storage = Destination { url: "file:///root".to_owned(), store, directory: Some(root.clone()) };
        let mut told = Vec::new();
        upload_dataset(&id, &from, &storage, &mut |said| told.push(said.clone())).await.expect("copied");
        let copy = root.join(proto::layout::dataset_path(&id));
        assert_eq!(told, [Upload::Copying(copy.clone())]);
        assert_eq!(std::fs::read_to_string(copy.join("train.npy")).expect("there"), "train.npy");
        std::fs::remove_file(from.join("train.npy")).expect("removed");
        upload_dataset(&id, &from, &storage, &mut |said| panic!("{said:?}")).await.expect("found");
        assert!(copy.join("train.npy").is_file(), "what is there stays as it is");
        assert_eq!(
            std::fs::read_dir(copy.parent().expect("has one")).expect("there").count(),
            1,
            "nothing is left over"
        );
    }

    #[tokio::test]
    async fn a_folder_without_a_manifest_is_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, root) = (dir.path().join("from"), dir.path().join("root"));
        dataset(&from);
        let id = DatasetId::from_content(b"a dataset");
        let there = root.join(proto::layout::dataset_path(&id));
        std::fs::create_dir_all(&there).expect("made");
        std::fs::write(there.join("train.npy"), "train").expect("written");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let storage = Destination { url: "file:///root".to_owned(), store, directory: Some(root) };
        upload_dataset(&id, &from, &storage, &mut |_| {}).await.expect("copied");
        for name in [MANIFEST, "train.npy"] {
            assert_eq!(std::fs::read_to_string(there.join(name)).expect("there"), name);
        }
        assert_eq!(
            std::fs::read_dir(there.parent().expect("has one")).expect("there").count(),
            1,
            "no copy is left over"
        );
    }

    #[tokio::test]
    async fn what_a_killed_upload_left_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, root) = (dir.path().join("from"), dir.path().join("root"));
        dataset(&from);
        let [id, other] = [&b"a dataset"[..], b"another"].map(DatasetId::from_content);
        let datasets = root.join(proto::layout::dataset_path(&id)).parent().expect("has one").to_owned();
        let left = |name: &str, id: &DatasetId, hours: u64| {
            let partial = datasets.join(format!("{id}.partial-{name}"));
            dataset(&partial);
            let before = std::time::SystemTime::now() - Duration::from_hours(hours);
            let set =
                |path: &Path| std::fs::File::open(path).and_then(|file| file.set_modified(before)).expect("is set");
            files(&partial).expect("are listed").iter().for_each(|file| set(file));
            set(&partial);
            partial
        };
        let (dead, alive, of_other) = (left("1", &id, 2), left("2", &id, 0), left("1", &other, 2));
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let storage = Destination { url: "file:///root".to_owned(), store, directory: Some(root.clone()) };
        upload_dataset(&id, &from, &storage, &mut |_| {}).await.expect("copied");
        assert_eq!([dead, alive, of_other].map(|dir| dir.is_dir()), [false, true, true]);
    }

    #[tokio::test]
    async fn a_dataset_is_sent_once() {
        let dir = tempfile::tempdir().expect("a directory");
        dataset(dir.path());
        let id = DatasetId::from_content(b"a dataset");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let storage = Destination { url: "s3://bucket".to_owned(), store: store.clone(), directory: None };
        let place = proto::layout::dataset_path(&id);
        let mut told = Vec::new();
        upload_dataset(&id, dir.path(), &storage, &mut |said| told.push(said.clone())).await.expect("sent");
        assert_eq!(told, [Upload::Sending(place.clone())]);
        let sent = store.get(&StorePath::from(format!("{place}/train.npy"))).await.expect("is there");
        assert_eq!(sent.bytes().await.expect("read"), "train.npy");
        upload_dataset(&id, dir.path(), &storage, &mut |said| panic!("{said:?}")).await.expect("found");

        // As where an upload was cut short, or somebody deleted a file.
        store.delete(&StorePath::from(format!("{place}/train.npy"))).await.expect("deleted");
        upload_dataset(&id, dir.path(), &storage, &mut |said| told.push(said.clone())).await.expect("sent");
        assert_eq!(told.len(), 2);
        store.head(&StorePath::from(format!("{place}/train.npy"))).await.expect("is there again");
    }
}
