//! One dataset that is being sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::layout::{MANIFEST, dataset_path};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use vocabulary::dataset_manifest::FileEntry;
use vocabulary::{ContentHash, DatasetId, DatasetManifest};

use super::{Early, Staging, UploadError};

/// How long the answer to a file's last piece waits for the storage. After that, the client asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Files that are looked for at the same time.
const AT_ONCE: usize = 16;

/// A piece of a file.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) file: String,
    /// Of its first byte.
    pub(crate) offset: u64,
    pub(crate) content: Vec<u8>,
    pub(crate) hash: ContentHash,
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileProgress {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Of these, the first ones that have arrived.
    pub(crate) received: u64,
    /// Whether it lies in the storage.
    pub(crate) is_stored: bool,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Where the next one begins.
    pub(crate) received: u64,
    /// Whether the whole file lies in the storage.
    pub(crate) is_stored: bool,
    /// Whether the piece, or the file that it completed, was not what it should be.
    pub(crate) is_damaged: bool,
}

/// See the [module's page](super).
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) dataset: DatasetId,
    pub(super) manifest: DatasetManifest,
    text: Vec<u8>,
    staging: Staging,
    store: Arc<dyn ObjectStore>,
    files: tokio::sync::Mutex<Files>,
    /// When a client last asked for something.
    touched: Mutex<Instant>,
}

/// The files, and what came early of one of them.
#[derive(Debug)]
struct Files {
    by_name: BTreeMap<String, File>,
    early: Early,
}

#[derive(Debug)]
struct File {
    entry: FileEntry,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Receiving { bytes: u64 },
    Storing(Storing),
    Stored,
}

/// A file on its way to the storage.
type Storing = Shared<BoxFuture<'static, Result<Moved, Arc<UploadError>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Stored,
    /// It does not have the hash in the manifest.
    Damaged,
}

impl Upload {
    /// What a folder holds of a dataset. Blocks.
    pub(super) fn found(
        manifest: DatasetManifest,
        text: Vec<u8>,
        staging: Staging,
        store: Arc<dyn ObjectStore>,
    ) -> Arc<Self> {
        let state = |entry: &FileEntry| match staging.arrived(entry) {
            Some(bytes) => State::Receiving { bytes },
            None => State::Stored,
        };
        let files =
            manifest.files().map(|entry| (entry.name.clone(), File { state: state(entry), entry: entry.clone() }));
        let files = Files { by_name: files.collect(), early: Early::default() };
        let (dataset, touched) = (manifest.dataset.id, Mutex::new(Instant::now()));
        Arc::new(Self { dataset, manifest, text, staging, store, files: tokio::sync::Mutex::new(files), touched })
    }

    /// How long no client has asked for anything.
    pub(super) fn rests(&self) -> Duration {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(super) fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How far each file is.
    pub(super) async fn progress(&self) -> Vec<FileProgress> {
        let files = self.files.lock().await;
        let progress = |File { entry, state }: &File| FileProgress {
            name: entry.name.clone(),
            bytes: entry.bytes,
            received: if let State::Receiving { bytes } = state { *bytes } else { entry.bytes },
            is_stored: matches!(state, State::Stored),
        };
        files.by_name.values().map(progress).collect()
    }

    /// Takes a piece. With a file's last one, the file is checked and moved to the storage.
    ///
    /// It runs to its end even if nobody waits for it any more: two of these must not write at the same time.
    pub(super) async fn write(self: Arc<Self>, piece: Piece) -> Result<Written, UploadError> {
        tokio::spawn(async move { self.take(piece).await }).await.unwrap_or(Err(UploadError::Interrupted))
    }

    async fn take(self: Arc<Self>, piece: Piece) -> Result<Written, UploadError> {
        self.touch();
        let Piece { file: name, offset, content, hash } = piece;
        let (storing, bytes) = {
            let mut files = self.files.lock().await;
            let Files { by_name, early } = &mut *files;
            let Some(file) = by_name.get_mut(&name) else {
                return Err(UploadError::UnknownFile { dataset: self.dataset, file: name.chars().take(80).collect() });
            };
            let entry = file.entry.clone();
            let storing = match file.state.clone() {
                State::Stored => return Ok(Written { received: entry.bytes, is_stored: true, is_damaged: false }),
                State::Storing(storing) => storing,
                State::Receiving { bytes: received } => {
                    if ContentHash::of(&content) != hash {
                        return Ok(Written { received, is_stored: false, is_damaged: true });
                    }
                    let end = offset.saturating_add(content.len() as u64);
                    if end > entry.bytes && offset >= received {
                        return Err(UploadError::TooLong { file: name, end, bytes: entry.bytes });
                    }
                    if offset != received {
                        early.keep(&name, received, offset, content);
                        return Ok(Written { received, is_stored: false, is_damaged: false });
                    }
                    let (mut received, mut next) = (received, Some(content));
                    while let Some(content) = next {
                        let end = received.saturating_add(content.len() as u64);
                        if !content.is_empty() || received == 0 {
                            let (staging, at) = (self.staging.clone(), entry.clone());
                            blocking(move || staging.append(&at, received, &content)).await?;
                        }
                        file.state = State::Receiving { bytes: end };
                        (received, next) = (end, early.next(&name, end));
                    }
                    if received < entry.bytes {
                        return Ok(Written { received, is_stored: false, is_damaged: false });
                    }
                    let storing = Arc::clone(&self).start_storing(entry.clone());
                    file.state = State::Storing(storing.clone());
                    storing
                }
            };
            (storing, entry.bytes)
        };
        match timeout(LONGEST_WAIT, storing).await {
            Err(_) => Ok(Written { received: bytes, is_stored: false, is_damaged: false }),
            Ok(Ok(Moved::Stored)) => Ok(Written { received: bytes, is_stored: true, is_damaged: false }),
            Ok(Ok(Moved::Damaged)) => Ok(Written { received: 0, is_stored: false, is_damaged: true }),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// Moves a file to the storage, whether or not somebody waits for it.
    fn start_storing(self: Arc<Self>, entry: FileEntry) -> Storing {
        let task = tokio::spawn(async move {
            let moved = self.store(&entry).await;
            let state = match &moved {
                Ok(Moved::Stored) => State::Stored,
                Ok(Moved::Damaged) => State::Receiving { bytes: 0 },
                // An empty piece tries again.
                Err(_) => State::Receiving { bytes: entry.bytes },
            };
            self.touch();
            let mut files = self.files.lock().await;
            files.early.forget(&entry.name);
            if let Some(file) = files.by_name.get_mut(&entry.name) {
                file.state = state;
            }
            drop(files);
            moved.map_err(Arc::new)
        });
        task.map(|ended| ended.unwrap_or_else(|_| Err(Arc::new(UploadError::Interrupted)))).boxed().shared()
    }

    async fn store(&self, entry: &FileEntry) -> Result<Moved, UploadError> {
        let (staging, checked) = (self.staging.clone(), entry.clone());
        if blocking(move || staging.hash(&checked)).await? != entry.blake3 {
            let (staging, damaged) = (self.staging.clone(), entry.clone());
            blocking(move || staging.discard(&damaged)).await?;
            return Ok(Moved::Damaged);
        }
        let mut content = tokio::fs::File::open(self.staging.part(entry)).await?;
        let mut writer = BufWriter::new(Arc::clone(&self.store), self.path(&entry.name));
        let copied = match tokio::io::copy(&mut content, &mut writer).await {
            Ok(_) => writer.shutdown().await,
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            // The parts that were sent are of no use; if they cannot be removed, the error that counts is the first.
            let _ = writer.abort().await;
            return Err(UploadError::Storage(object_store::Error::Generic { store: "upload", source: error.into() }));
        }
        let (staging, stored) = (self.staging.clone(), entry.clone());
        blocking(move || staging.note_stored(&stored)).await?;
        Ok(Moved::Stored)
    }

    /// Makes it a dataset: writes the manifest, once the storage has every file.
    pub(super) async fn complete(self: Arc<Self>) -> Result<(), UploadError> {
        tokio::spawn(async move { self.finish().await }).await.unwrap_or(Err(UploadError::Interrupted))
    }

    async fn finish(&self) -> Result<(), UploadError> {
        self.touch();
        let mut files = self.files.lock().await;
        let unfinished = |file: &str| UploadError::Unfinished { dataset: self.dataset, file: file.to_owned() };
        if let Some(file) = files.by_name.values().find(|file| !matches!(file.state, State::Stored)) {
            return Err(unfinished(&file.entry.name));
        }
        let entries: Vec<FileEntry> = files.by_name.values().map(|file| file.entry.clone()).collect();
        let lost =
            futures::stream::iter(entries).map(async |entry| match self.store.head(&self.path(&entry.name)).await {
                Ok(found) if found.size == entry.bytes => Ok(None),
                Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(Some(entry)),
                Err(error) => Err(UploadError::Storage(error)),
            });
        let lost: Option<FileEntry> =
            lost.buffered(AT_ONCE).try_filter_map(async |entry| Ok(entry)).boxed().try_next().await?;
        if let Some(entry) = lost {
            // Somebody removed it, and it has to be sent again.
            let (staging, gone) = (self.staging.clone(), entry.clone());
            blocking(move || staging.discard(&gone)).await?;
            files.early.forget(&entry.name);
            if let Some(file) = files.by_name.get_mut(&entry.name) {
                file.state = State::Receiving { bytes: 0 };
            }
            return Err(unfinished(&entry.name));
        }
        self.store.put(&self.path(MANIFEST), self.text.clone().into()).await.map_err(UploadError::Storage)?;
        self.forget_folder().await
    }

    /// Removes what an abandoned upload left: its folder, and the files in the storage, which nobody uses without a manifest.
    pub(super) async fn remove(&self) -> Result<(), UploadError> {
        let files = self.files.lock().await;
        let is_dataset = match self.store.head(&self.path(MANIFEST)).await {
            Ok(_) => true,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(UploadError::Storage(error)),
        };
        let stored = files.by_name.values().filter(|file| !is_dataset && matches!(file.state, State::Stored));
        for file in stored {
            match self.store.delete(&self.path(&file.entry.name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(UploadError::Storage(error)),
            }
        }
        self.forget_folder().await
    }

    async fn forget_folder(&self) -> Result<(), UploadError> {
        let staging = self.staging.clone();
        blocking(move || staging.remove()).await
    }

    fn path(&self, file: &str) -> Path {
        Path::from(format!("{}/{file}", dataset_path(&self.dataset)))
    }
}

/// Runs what waits for a disk where it delays nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, UploadError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or_else(|_| Err(std::io::Error::other("the thread was stopped")))?)
}
