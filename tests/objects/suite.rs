//! What every storage in a bucket does, whichever server keeps it.

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use storage::{Storage, StorageId, Transfer, prove};
use vocabulary::{Attempt, AttemptKey, StageKey};
use worker::checkpoint::{Blobs, CheckpointRef, download, upload};
use worker::training::Blob;

/// A bucket somewhere.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) variables: Vec<(String, String)>,
}

/// The size of parts: the smallest that services take.
pub(crate) const PART: usize = 5 << 20;

pub(crate) fn transfer() -> Transfer {
    Transfer {
        part_bytes: PART,
        first_wait: std::time::Duration::from_millis(10),
        longest_wait: std::time::Duration::from_millis(50),
        ..Transfer::default()
    }
}

impl Bucket {
    pub(crate) fn open(&self, prefix: &str, transfer: Transfer) -> Storage {
        let address = format!("s3://{}/{prefix}", self.name);
        Storage::open_in(&address, self.variables.clone(), transfer).expect("the address and the variables are right")
    }

    /// With another value of a variable.
    pub(crate) fn with(&self, variable: &str, value: &str) -> Self {
        let mut variables = self.variables.clone();
        variables.retain(|(name, _)| name != variable);
        variables.push((variable.to_owned(), value.to_owned()));
        Self { name: self.name.clone(), variables }
    }
}

/// Bytes that repeat nowhere.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    let mut state = bytes as u64 | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

async fn get(storage: &Storage, path: &str) -> Result<Vec<u8>, Error> {
    Ok(storage.store().get(&Path::from(path)).await?.bytes().await?.into())
}

pub(crate) async fn put(storage: &Storage, path: &str, content: Vec<u8>) -> Result<(), Error> {
    storage.store().put(&Path::from(path), content.into()).await.map(|_| ())
}

/// Small objects and large ones come back as they were put, replace each other, are listed, and go.
pub(crate) async fn objects_come_back(bucket: &Bucket) {
    let storage = bucket.open("objects", transfer());
    let part = PART;
    for bytes in [0, 1, 1000, part, part + 1] {
        let path = format!("a/{bytes}");
        put(&storage, &path, content(bytes)).await.expect("put");
        assert!(get(&storage, &path).await.expect("there") == content(bytes), "{bytes} bytes");
        assert_eq!(storage.store().head(&Path::from(path)).await.expect("there").size, bytes as u64);
    }
    put(&storage, "a/1", content(9)).await.expect("replaced");
    assert!(get(&storage, "a/1").await.expect("there") == content(9));
    put(&storage, "b/c/d", b"x".to_vec()).await.expect("put");
    let listed: Vec<_> = storage.store().list(None).try_collect().await.expect("listed");
    assert_eq!(listed.len(), 6);
    let listed = storage.store().list_with_delimiter(Some(&Path::from("b"))).await.expect("listed");
    assert_eq!(listed.common_prefixes, [Path::from("b/c")]);
    let other = bucket.open("objects2", transfer());
    assert_eq!(other.store().list(None).count().await, 0, "a prefix is not the beginning of a name");

    storage.store().delete(&Path::from("b/c/d")).await.expect("deleted");
    let found = storage.store().get(&Path::from("b/c/d")).await.expect_err("it is gone");
    assert!(matches!(found, Error::NotFound { .. }), "{found}");
    let paths = futures::stream::iter(["a/0", "a/1", "a/1000", "a/none"].map(|path| Ok(Path::from(path)))).boxed();
    for deleted in storage.store().delete_stream(paths).collect::<Vec<_>>().await {
        assert!(matches!(deleted, Ok(_) | Err(Error::NotFound { .. })), "{deleted:?}");
    }
    let left: Vec<_> = storage.store().list(None).try_collect().await.expect("listed");
    assert_eq!(left.len(), 2);
}

/// A large object whose parts the caller cuts.
pub(crate) async fn a_writer_sends_parts(bucket: &Bucket) {
    use tokio::io::AsyncWriteExt;
    let storage = bucket.open("writer", transfer());
    let whole = content(12 << 20);
    let mut writer =
        object_store::buffered::BufWriter::new(storage.store().clone(), Path::from("large")).with_max_concurrency(3);
    writer.write_all(&whole).await.expect("written");
    writer.shutdown().await.expect("complete");
    assert!(get(&storage, "large").await.expect("there") == whole);
}

/// The marker, and what a worker does before it works.
pub(crate) async fn a_storage_is_proved(bucket: &Bucket) {
    let storage = bucket.open("proved", transfer());
    let id = StorageId::fresh();
    let error = prove(storage.store().as_ref(), &id, "w1").await.expect_err("it is empty");
    assert!(error.is_elsewhere(), "{error}");
    id.mark(storage.store().as_ref()).await.expect("marked");
    prove(storage.store().as_ref(), &id, "w1").await.expect("it is the one");
    assert_eq!(StorageId::of(storage.store().as_ref()).await.expect("read"), Some(id));
}

pub(crate) fn blobs() -> Blobs {
    let blob = |name: &str, bytes| Blob { name: name.to_owned(), bytes: content(bytes) };
    Blobs::new(vec![blob("weights.safetensors", PART + 1), blob("optimizer.safetensors", 3000)])
}

pub(crate) async fn upload_checkpoint(storage: &Storage) -> Result<CheckpointRef, worker::checkpoint::UploadError> {
    let key = AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(2) };
    upload(storage.store().as_ref(), key, 30, &blobs()).await
}

/// A checkpoint with a blob in parts, and what its reader says of a flipped bit.
pub(crate) async fn a_checkpoint_comes_back_or_is_damaged(bucket: &Bucket) {
    let storage = bucket.open("checkpoint", transfer());
    let checkpoint = upload_checkpoint(&storage).await.expect("uploads");
    assert_eq!(download(storage.store().as_ref(), &checkpoint).await.expect("downloads"), blobs());
    let weights = checkpoint.manifest_path.replace("manifest.json", "weights.safetensors");
    let mut changed = content(PART + 1);
    changed[PART - 5] ^= 1;
    put(&storage, &weights, changed).await.expect("put");
    let error = download(storage.store().as_ref(), &checkpoint).await.expect_err("a bit differs");
    assert!(error.to_string().contains("damaged") && !error.is_retryable(), "{error}");
}

/// What a person got wrong is said in one line, with what to do and without the secret.
pub(crate) async fn mistakes_are_explained(bucket: &Bucket) {
    let explained = async |bucket: &Bucket| {
        let storage = bucket.open("mistakes", transfer());
        let error = storage.store().list_with_delimiter(None).await.expect_err("something is wrong").to_string();
        assert!(
            !error.contains('\n') && !error.contains('<') && !error.contains("hush") && error.len() < 300,
            "{error}"
        );
        error
    };
    let error = explained(&bucket.with("AWS_SECRET_ACCESS_KEY", "hush")).await;
    assert!(error.contains("the secret key is wrong") && error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
    let error = explained(&bucket.with("AWS_ACCESS_KEY_ID", "nobody")).await;
    assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
    let elsewhere = Bucket { name: "no-such-bucket".to_owned(), variables: bucket.variables.clone() };
    let error = explained(&elsewhere).await;
    assert!(error.contains("has no bucket `no-such-bucket`"), "{error}");
    // Port 1 on loopback is nobody's.
    let error = explained(&bucket.with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")).await;
    assert!(error.contains("cannot connect to http://127.0.0.1:1"), "{error}");
    // These belong to somebody else.
    let mut variables = bucket.variables.clone();
    variables.extend([("TOKEN", "abc"), ("TIMEOUT", "1ms")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let other = Bucket { name: bucket.name.clone(), variables };
    put(&other.open("mistakes", transfer()), "x", b"x".to_vec()).await.expect("they are ignored");
}

/// Runs every part of the suite.
pub(crate) async fn all(bucket: &Bucket) {
    objects_come_back(bucket).await;
    a_writer_sends_parts(bucket).await;
    a_storage_is_proved(bucket).await;
    a_checkpoint_comes_back_or_is_damaged(bucket).await;
    mistakes_are_explained(bucket).await;
}
