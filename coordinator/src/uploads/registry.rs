//! All datasets that are being sent.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use proto::limits::MAX_DATASET_MANIFEST_BYTES;
use tokio::sync::Mutex;
use tracing::{info, warn};
use vocabulary::{DatasetId, DatasetManifest};

use super::upload::blocking;
use super::{FOLDER, FileProgress, Piece, Staging, Upload, UploadError, UploadLimits, Written};

/// An upload that nobody touched for this long makes room for another.
const RESTS_AFTER: Duration = Duration::from_hours(1);

/// One that nobody touched for this long goes.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// See the [module's page](super).
#[derive(Debug)]
pub(crate) struct Uploads {
    folder: PathBuf,
    store: Arc<dyn ObjectStore>,
    limits: UploadLimits,
    running: Mutex<BTreeMap<DatasetId, Arc<Upload>>>,
}

/// How far the files of a dataset are. None has to be sent if the storage has the dataset.
pub(crate) type Begun = Vec<FileProgress>;

impl Uploads {
    /// The uploads that a data directory holds. Blocks.
    pub(crate) fn open(data_dir: &Path, store: Arc<dyn ObjectStore>, limits: UploadLimits) -> Self {
        let folder = data_dir.join(FOLDER);
        let mut running = BTreeMap::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let staging = Staging::at(entry.path());
            let found = staging.manifest().ok().and_then(|text| {
                let manifest = DatasetManifest::from_json(&text).ok()?;
                Some(Upload::found(manifest, text, staging.clone(), Arc::clone(&store)))
            });
            match found.filter(|upload| entry.file_name().to_str() == Some(&upload.dataset.to_string())) {
                Some(upload) => drop(running.insert(upload.dataset, upload)),
                // It did not get as far as a manifest, or is of another version.
                None => {
                    let removed = staging.remove();
                    info!(path = %entry.path().display(), removed = removed.is_ok(), "an upload that cannot be continued");
                }
            }
        }
        Self { folder, store, limits, running: Mutex::new(running) }
    }

    /// Begins to take a dataset by its manifest, or continues.
    pub(crate) async fn begin(&self, manifest: DatasetManifest, text: Vec<u8>) -> Result<Begun, UploadError> {
        debug_assert!(text.len() <= MAX_DATASET_MANIFEST_BYTES);
        let mut running = self.running.lock().await;
        remove_resting(&mut running, ABANDONED_AFTER).await;
        let dataset = manifest.dataset.id;
        if let Some(upload) = running.get(&dataset).cloned() {
            drop(running);
            upload.touch();
            return Ok(upload.progress().await);
        }
        let (bytes, limit) = (manifest.bytes(), self.limits.bytes);
        if bytes > limit {
            return Err(UploadError::TooLarge { dataset, bytes, limit });
        }
        if !self.has_room(&running, bytes) {
            remove_resting(&mut running, RESTS_AFTER).await;
        }
        if !self.has_room(&running, bytes) {
            return Err(UploadError::NoRoom { others: running.len(), bytes: total(&running) });
        }
        let (staging, store) = (Staging::at(self.folder.join(dataset.to_string())), Arc::clone(&self.store));
        let upload = blocking(move || {
            staging.make(&text)?;
            Ok(Upload::found(manifest, text, staging, store))
        });
        let upload = upload.await?;
        info!(%dataset, bytes, "a client begins to send a dataset");
        running.insert(dataset, Arc::clone(&upload));
        drop(running);
        Ok(upload.progress().await)
    }

    /// Takes a piece; `None` if the upload has not begun.
    pub(crate) async fn write(&self, dataset: &DatasetId, piece: Piece) -> Result<Option<Written>, UploadError> {
        match self.find(dataset).await {
            Some(upload) => Ok(Some(upload.write(piece).await?)),
            None => Ok(None),
        }
    }

    /// Ends an upload whose files are all there: from now on, the storage has the dataset. `None` if it has not begun.
    pub(crate) async fn complete(&self, dataset: &DatasetId) -> Result<Option<()>, UploadError> {
        let Some(upload) = self.find(dataset).await else { return Ok(None) };
        let bytes = upload.manifest.bytes();
        Arc::clone(&upload).complete().await?;
        let mut running = self.running.lock().await;
        // Not one that began since.
        if running.get(dataset).is_some_and(|found| Arc::ptr_eq(found, &upload)) {
            running.remove(dataset);
        }
        info!(%dataset, bytes, "a dataset was sent");
        Ok(Some(()))
    }

    async fn find(&self, dataset: &DatasetId) -> Option<Arc<Upload>> {
        self.running.lock().await.get(dataset).cloned()
    }

    fn has_room(&self, running: &BTreeMap<DatasetId, Arc<Upload>>, bytes: u64) -> bool {
        running.len() < self.limits.at_once && total(running).saturating_add(bytes) <= self.limits.bytes
    }
}

fn total(running: &BTreeMap<DatasetId, Arc<Upload>>) -> u64 {
    running.values().fold(0, |sum, upload| sum.saturating_add(upload.manifest.bytes()))
}

/// Removes uploads that nobody touched for some time. One that cannot be removed keeps its place.
async fn remove_resting(running: &mut BTreeMap<DatasetId, Arc<Upload>>, time: Duration) {
    let resting: Vec<_> = running.values().filter(|upload| upload.rests() >= time).cloned().collect();
    for upload in resting {
        let dataset = upload.dataset;
        match upload.remove().await {
            Ok(()) => {
                info!(%dataset, "an upload was abandoned");
                running.remove(&dataset);
            }
            Err(error) => warn!(%dataset, error = &error as &dyn Error, "an abandoned upload cannot be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::path::Path as StorePath;
    use object_store::{ObjectStoreExt, PutPayload};
    use proto::layout::dataset_path;
    use vocabulary::dataset_manifest::{FORMAT_VERSION, FileEntry, ShardEntry, SplitEntry};
    use vocabulary::{ContentHash, Dataset, Dropped};

    use super::*;
    use crate::datasets::{Presence, look_for};

    const LIMITS: UploadLimits = UploadLimits { at_once: 2, bytes: 100 };

    /// The files of a small dataset, its manifest first. `seed` tells it from others.
    fn dataset(seed: u8) -> (DatasetManifest, Vec<(String, Vec<u8>)>) {
        let files =
            [("tokenizer.json", 3), ("token_bytes.npy", 5), ("train-00000.npy", 20), ("validation-00000.npy", 0)];
        let files = files.map(|(name, bytes)| (name.to_owned(), vec![seed; bytes]));
        let [tokenizer, token_bytes, train, validation] = files.each_ref().map(|(name, content)| FileEntry {
            name: name.clone(),
            bytes: content.len() as u64,
            blake3: ContentHash::of(content),
        });
        let split = |file, tokens| SplitEntry { documents: 1, shards: vec![ShardEntry { file, tokens }], index: None };
        let id = DatasetId::from_content(b"");
        let (train_tokens, validation_tokens, train_bytes, validation_bytes) = (9, 0, 9, 0);
        let (sources, domains) = (Vec::new(), Vec::new());
        let dataset =
            Dataset { id, vocab: 4, train_tokens, validation_tokens, train_bytes, validation_bytes, sources, domains };
        let mut manifest = DatasetManifest {
            format_version: FORMAT_VERSION,
            dataset,
            end_of_document: 0,
            tokenizer,
            token_bytes,
            train: split(train, 10),
            validation: split(validation, 1),
            domains: Vec::new(),
            dropped: Dropped::default(),
        };
        manifest.dataset.id = manifest.content_id();
        (manifest, files.to_vec())
    }

    fn piece(file: &str, offset: u64, content: &[u8]) -> Piece {
        Piece { file: file.to_owned(), offset, content: content.to_vec(), hash: ContentHash::of(content) }
    }

    struct World {
        dir: tempfile::TempDir,
        store: Arc<InMemory>,
        uploads: Uploads,
    }

    impl World {
        fn new() -> Self {
            let (dir, store) = (tempfile::tempdir().expect("a directory"), Arc::new(InMemory::new()));
            let uploads = Uploads::open(dir.path(), store.clone(), LIMITS);
            Self { dir, store, uploads }
        }

        /// After a crash of the coordinator.
        fn restarted(self) -> Self {
            let uploads = Uploads::open(self.dir.path(), self.store.clone(), LIMITS);
            Self { uploads, ..self }
        }

        async fn begin(&self, manifest: &DatasetManifest) -> Result<Begun, UploadError> {
            let text = serde_json::to_vec(manifest).expect("has a JSON form");
            self.uploads.begin(manifest.clone(), text).await
        }

        async fn write(&self, id: &DatasetId, piece: Piece) -> Written {
            self.uploads.write(id, piece).await.expect("it is taken").expect("it has begun")
        }

        async fn presence(&self, id: &DatasetId) -> Presence {
            look_for(self.store.as_ref(), id).await.expect("memory answers")
        }

        fn staged(&self) -> usize {
            fs::read_dir(self.dir.path().join(FOLDER)).map_or(0, Iterator::count)
        }
    }

    const TAKEN: fn(u64) -> Written = |received| Written { received, is_stored: false, is_damaged: false };
    const STORED: fn(u64) -> Written = |received| Written { received, is_stored: true, is_damaged: false };

    #[tokio::test]
    async fn a_dataset_counts_once_its_last_file_is_there_and_not_before() {
        let world = World::new();
        let (manifest, files) = dataset(1);
        let id = manifest.dataset.id;
        assert_eq!(world.uploads.write(&id, piece("tokenizer.json", 0, b"abc")).await.expect("no error"), None);
        assert_eq!(world.uploads.complete(&id).await.expect("no error"), None);
        let begun = world.begin(&manifest).await.expect("there is room");
        assert!(begun.len() == 4 && begun.iter().all(|file| file.received == 0 && !file.is_stored), "{begun:?}");
        for (name, content) in &files {
            assert!(matches!(world.uploads.complete(&id).await, Err(UploadError::Unfinished { .. })));
            assert_eq!(world.presence(&id).await, Presence::Absent);
            assert_eq!(world.write(&id, piece(name, 0, content)).await, STORED(content.len() as u64));
        }
        assert_eq!(world.presence(&id).await, Presence::Absent);
        world.uploads.complete(&id).await.expect("it is whole").expect("it has begun");
        assert_eq!((world.presence(&id).await, world.staged()), (Presence::Whole, 0));
    }

    #[tokio::test]
    async fn pieces_may_come_in_any_order_and_each_has_its_hash() {
        let (manifest, files) = dataset(1);
        let (id, (name, content)) = (manifest.dataset.id, &files[2]);
        let part = |number: usize| piece(name, number as u64 * 5, &content[number * 5..(number + 1) * 5]);
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [1, 3, 2, 0]];
        for order in orders {
            let world = World::new();
            world.begin(&manifest).await.expect("there is room");
            let mut written = Vec::new();
            for number in order {
                written.push(world.write(&id, part(number)).await);
            }
            assert_eq!(written.last(), Some(&STORED(20)), "{order:?}");
            let received = written.iter().map(|written| written.received);
            assert!(received.is_sorted(), "what has arrived only grows: {written:?}");
        }

        // A damaged piece leaves a gap, and those behind it wait until it has come whole.
        let world = World::new();
        world.begin(&manifest).await.expect("there is room");
        let torn = Piece { content: vec![7; 5], ..part(0) };
        assert_eq!(world.write(&id, part(2)).await, TAKEN(0));
        assert_eq!(world.write(&id, torn).await, Written { is_damaged: true, ..TAKEN(0) });
        assert_eq!(world.write(&id, part(1)).await, TAKEN(0));
        assert_eq!(world.write(&id, part(0)).await, TAKEN(15));
        let beyond = piece(name, 18, &[1; 3]);
        assert!(matches!(world.uploads.write(&id, beyond).await, Err(UploadError::TooLong { .. })));
        // What only waited is lost with the process, and is sent again.
        let world = World::new();
        world.begin(&manifest).await.expect("there is room");
        world.write(&id, part(0)).await;
        assert_eq!(world.write(&id, part(2)).await, TAKEN(5));
        let world = world.restarted();
        assert_eq!(world.write(&id, part(1)).await, TAKEN(10));
        assert_eq!(world.write(&id, part(3)).await, TAKEN(10));
        assert_eq!(world.write(&id, part(2)).await, STORED(20));
    }

    #[tokio::test]
    async fn a_broken_upload_continues_where_it_was_even_after_a_crash() {
        let world = World::new();
        let (manifest, files) = dataset(1);
        let (id, train) = (manifest.dataset.id, &files[2]);
        world.begin(&manifest).await.expect("there is room");
        assert_eq!(world.write(&id, piece("tokenizer.json", 0, &files[0].1)).await, STORED(3));
        assert_eq!(world.write(&id, piece(&train.0, 0, &train.1[..8])).await, TAKEN(8));
        // What comes early does not count yet, and what comes once more changes nothing.
        assert_eq!(world.write(&id, piece(&train.0, 10, &train.1[10..])).await, TAKEN(8));
        assert_eq!(world.write(&id, piece(&train.0, 0, &train.1[..8])).await, TAKEN(8));
        assert_eq!(world.write(&id, piece("tokenizer.json", 0, b"xyz")).await, STORED(3));

        let world = world.restarted();
        let begun = world.begin(&manifest).await.expect("it is known");
        let received: Vec<_> = begun.iter().map(|file| (file.received, file.is_stored)).collect();
        // In the order of their names: token_bytes, tokenizer, train, validation.
        assert_eq!(received, [(0, false), (3, true), (8, false), (0, false)]);
        assert_eq!(world.write(&id, piece(&train.0, 8, &train.1[8..])).await, STORED(20));
        for index in [1, 3] {
            let (name, content) = &files[index];
            world.write(&id, piece(name, 0, content)).await;
        }
        world.uploads.complete(&id).await.expect("it is whole").expect("it has begun");
        assert_eq!(world.presence(&id).await, Presence::Whole);
    }

    #[tokio::test]
    async fn what_is_damaged_is_dropped_and_asked_for_again() {
        let world = World::new();
        let (manifest, files) = dataset(1);
        let (id, train) = (manifest.dataset.id, &files[2]);
        world.begin(&manifest).await.expect("there is room");
        world.write(&id, piece(&train.0, 0, &train.1[..8])).await;
        // A piece that is not what was sent.
        let torn = Piece { content: vec![7; 12], ..piece(&train.0, 8, &train.1[8..]) };
        assert_eq!(world.write(&id, torn).await, Written { is_damaged: true, ..TAKEN(8) });
        // Pieces that are sound and a file that is not.
        let whole = world.write(&id, piece(&train.0, 8, &[7; 12])).await;
        assert_eq!(whole, Written { received: 0, is_stored: false, is_damaged: true });
        let path = StorePath::from(format!("{}/{}", dataset_path(&id), train.0));
        assert!(world.store.head(&path).await.is_err(), "nothing damaged is in the storage");
        assert_eq!(world.write(&id, piece(&train.0, 0, &train.1)).await, STORED(20));
        let error = world.uploads.write(&id, piece("token_bytes.npy", 0, &[1; 6])).await.expect_err("it is too long");
        assert!(matches!(error, UploadError::TooLong { end: 6, bytes: 5, .. }), "{error}");
        for name in ["../train-00000.npy", "manifest.json", "train-00000.npy.part", ""] {
            let error = world.uploads.write(&id, piece(name, 0, b"")).await.expect_err(name);
            assert!(matches!(error, UploadError::UnknownFile { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_somebody_removed_from_the_storage_is_sent_again() {
        let world = World::new();
        let (manifest, files) = dataset(1);
        let id = manifest.dataset.id;
        world.begin(&manifest).await.expect("there is room");
        for (name, content) in &files {
            world.write(&id, piece(name, 0, content)).await;
        }
        let path = StorePath::from(format!("{}/tokenizer.json", dataset_path(&id)));
        world.store.put(&path, PutPayload::from_static(b"ab")).await.expect("memory takes everything");
        assert!(matches!(world.uploads.complete(&id).await, Err(UploadError::Unfinished { .. })));
        assert_eq!(world.write(&id, piece("tokenizer.json", 0, &files[0].1)).await, STORED(3));
        world.uploads.complete(&id).await.expect("it is whole").expect("it has begun");
        assert_eq!(world.presence(&id).await, Presence::Whole);
    }

    #[tokio::test]
    async fn two_that_send_the_same_get_on_together() {
        let world = Arc::new(World::new());
        let (manifest, files) = dataset(1);
        let id = manifest.dataset.id;
        let client = async |world: Arc<World>, step: usize| {
            world.begin(&manifest).await.expect("there is room");
            for (name, content) in &files {
                let mut received = 0;
                loop {
                    let end = content.len().min(received + step);
                    let written = world.uploads.write(&id, piece(name, received as u64, &content[received..end])).await;
                    // The other one may have completed it meanwhile.
                    let Some(Written { received: now, is_stored, is_damaged }) = written.expect("it is taken") else {
                        return;
                    };
                    assert!(!is_damaged);
                    received = usize::try_from(now).expect("it is small");
                    if is_stored {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            world.uploads.complete(&id).await.expect("it is whole");
        };
        tokio::join!(client(Arc::clone(&world), 3), client(Arc::clone(&world), 4), client(Arc::clone(&world), 7));
        assert_eq!((world.presence(&id).await, world.staged()), (Presence::Whole, 0));
    }

    #[tokio::test]
    async fn room_is_bounded_and_what_rests_makes_some() {
        let world = World::new();
        let [first, second, third] = [1, 2, 3].map(|seed| dataset(seed).0);
        for manifest in [&first, &second] {
            world.begin(manifest).await.expect("there is room");
        }
        let error = world.begin(&third).await.expect_err("two are being sent");
        assert!(matches!(error, UploadError::NoRoom { others: 2, bytes: 56 }) && error.is_retryable(), "{error}");
        let small =
            Uploads::open(&world.dir.path().join("other"), world.store.clone(), UploadLimits { bytes: 27, ..LIMITS });
        let error = small.begin(first.clone(), Vec::new()).await.expect_err("it is too large");
        assert!(matches!(error, UploadError::TooLarge { bytes: 28, .. }) && !error.is_retryable(), "{error}");

        // What an abandoned one has in the storage goes with it.
        let (id, files) = (first.dataset.id, dataset(1).1);
        world.write(&id, piece("tokenizer.json", 0, &files[0].1)).await;
        remove_resting(&mut *world.uploads.running.lock().await, Duration::ZERO).await;
        let path = StorePath::from(format!("{}/tokenizer.json", dataset_path(&id)));
        assert!(world.store.head(&path).await.is_err());
        assert_eq!(world.staged(), 0);
        world.begin(&third).await.expect("there is room");
    }
}
