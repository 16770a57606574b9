//! Opens a storage by its address.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::address::{AddressError, Place, Service};
use crate::bucket::{self, EnvironmentError, OpenError, Transfer};

/// The storage of checkpoints and datasets.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    local: Option<PathBuf>,
    service: Option<Service>,
}

/// An address whose storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address does not name a storage.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The environment says something of the service that cannot be used.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The directory does not exist.
    #[error("the directory {dir} does not exist: is the coordinator's file system mounted on this machine?")]
    Missing { dir: PathBuf },
    /// Something else is in its place.
    #[error("{dir} is not a directory")]
    NotADirectory { dir: PathBuf },
    /// The file system does not say what is there.
    #[error("cannot look at {dir}")]
    Unreachable {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The storage is of an unsupported kind, or misconfigured.
    #[error("cannot use the storage at `{address}`")]
    Open {
        address: String,
        #[source]
        source: object_store::Error,
    },
}

impl StorageError {
    /// Whether it may pass without anybody changing anything, as where a file server is away.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.kind() != ErrorKind::PermissionDenied)
    }
}

impl Storage {
    /// Opens a storage by its address: `file://` for a directory; `s3://`, `gs://` or `az://` for a bucket, which takes its
    /// settings from the variables `AWS_*`, `GOOGLE_*` or `AZURE_*` of the environment.
    ///
    /// # Errors
    /// If the address is not one, or nothing that can be used is there. Whether a bucket is there shows when it is used.
    pub fn open(address: &str) -> Result<Self, StorageError> {
        // A variable that is not valid text cannot be one of these.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
        Self::open_in(address, variables, Transfer::default())
    }

    /// Like [`Storage::open`], in a given environment.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub fn open_in(
        address: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        transfer: Transfer,
    ) -> Result<Self, StorageError> {
        match Place::parse(address)? {
            Place::Folder(dir) => Self::local(&dir),
            Place::Bucket { service, bucket, url } => {
                let opened = bucket::open(service, &bucket, &url, variables, transfer);
                let store = opened.map_err(|error| match error {
                    OpenError::Environment(error) => StorageError::Environment(error),
                    OpenError::Client(source) => StorageError::Open { address: url.to_string(), source },
                })?;
                Ok(Self { store, local: None, service: Some(service) })
            }
        }
    }

    /// The storage in a directory.
    ///
    /// A write is on disk before it counts: the index of checkpoints is durable, so a checkpoint must not be less so.
    ///
    /// # Errors
    /// If it is not a directory, or the file system does not answer.
    pub fn local(dir: &Path) -> Result<Self, StorageError> {
        let owned = || dir.to_owned();
        match std::fs::metadata(dir) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(StorageError::NotADirectory { dir: owned() }),
            Err(source) => {
                return Err(match source.kind() {
                    ErrorKind::NotFound => StorageError::Missing { dir: owned() },
                    ErrorKind::NotADirectory => StorageError::NotADirectory { dir: owned() },
                    _ => StorageError::Unreachable { dir: owned(), source },
                });
            }
        }
        let store = LocalFileSystem::new_with_prefix(dir)
            .map_err(|source| StorageError::Open { address: dir.display().to_string(), source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), local: Some(dir.to_owned()), service: None })
    }

    /// The same storage, where a folder goes with its last file.
    #[must_use]
    pub fn tidy(self) -> Self {
        let tidy = self.local.as_ref().and_then(|dir| LocalFileSystem::new_with_prefix(dir).ok());
        match tidy {
            Some(store) => Self { store: Arc::new(store.with_fsync(true).with_automatic_cleanup(true)), ..self },
            None => self,
        }
    }

    /// A storage opened by the caller.
    #[must_use]
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, local: None, service: None }
    }

    /// The object store; paths are relative to the root.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Whether it is a bucket, whose service answers for what it has taken. What is read from one crosses a network, and may
    /// have a price.
    #[must_use]
    pub fn is_bucket(&self) -> bool {
        self.service.is_some()
    }

    /// The root's directory, if it is local.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.local.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_say_why() {
        let text = |address: &str| Storage::open(address).expect_err(address).to_string();
        assert!(text("somewhere").contains("not a URL"));
        assert!(text("file:///no/such/directory").contains("/no/such/directory"));
        assert!(text("gopher://host/path").contains("gopher://host/path"));
    }

    #[test]
    fn a_directory_is_known_as_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let address = url::Url::from_directory_path(dir.path()).expect("absolute");
        let storage = Storage::open(address.as_str()).expect("opens");
        assert_eq!(storage.directory().map(|path| path.join("x")), Some(dir.path().join("x")));
        let file = dir.path().join("file");
        std::fs::write(&file, b"").expect("written");
        for other in [file.clone(), file.join("below")] {
            let error = Storage::local(&other).expect_err("it is a file");
            assert!(matches!(error, StorageError::NotADirectory { .. }) && !error.may_pass(), "{error}");
        }
        // A circle of links stands for a file system that answers with an error.
        let circle = dir.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).expect("linked");
        let error = Storage::local(&circle).expect_err("nothing is there");
        assert!(error.may_pass(), "{error}");
    }

    #[test]
    fn a_bucket_is_opened_without_talking_to_it() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("TOKEN", "c"), ("TIMEOUT", "30")];
        let variables = || keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let storage = Storage::open_in("s3://runs/a/b", variables(), Transfer::default()).expect("opens");
        assert!(storage.is_bucket() && storage.directory().is_none());
        let plain = [("AWS_ENDPOINT_URL".to_owned(), "http://store.example.org".to_owned())];
        let error = Storage::open_in("s3://runs", plain, Transfer::default()).expect_err("it is not encrypted");
        assert!(matches!(error, StorageError::Environment(_)) && !error.may_pass(), "{error}");
        let account = [("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "me".to_owned())];
        Storage::open_in("az://runs/a", account, Transfer::default()).expect("opens");
        Storage::open_in("gs://runs/a", [("GOOGLE_SKIP_SIGNATURE".to_owned(), "true".to_owned())], Transfer::default())
            .expect("opens");
    }
}
