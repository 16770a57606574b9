//! Opens the storage of `datasets/` and `checkpoints/` by its address.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

/// The storage of checkpoints and datasets.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    local: Option<PathBuf>,
}

/// An address whose storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address is not a URL.
    #[error("the storage address `{address}` is not a URL (expected, for example, file:///shared/windtunnel)")]
    Address {
        address: String,
        #[source]
        source: url::ParseError,
    },
    /// The address is a `file://` URL that does not name a path on this machine.
    #[error("the storage address `{address}` does not name a path on this machine")]
    NotLocal { address: String },
    /// The directory does not exist.
    #[error("the directory {dir} does not exist: is the coordinator's file system mounted on this machine?")]
    Missing { dir: PathBuf },
    /// The storage is of an unsupported kind, or misconfigured.
    #[error("cannot use the storage at `{address}`")]
    Open {
        address: String,
        #[source]
        source: object_store::Error,
    },
}

impl Storage {
    /// Opens a storage by its address: `file://` for a directory, or an object store supported by this build. Object
    /// stores take their settings from the environment.
    pub fn open(address: &str) -> Result<Self, StorageError> {
        let url =
            Url::parse(address).map_err(|source| StorageError::Address { address: address.to_owned(), source })?;
        if url.scheme() == "file" {
            let dir = url.to_file_path().map_err(|()| StorageError::NotLocal { address: address.to_owned() })?;
            return Self::local(&dir);
        }
        let open = |source| StorageError::Open { address: address.to_owned(), source };
        let (_, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| open(error.into()))?;
        let settings = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, _) = object_store::parse_url_opts(&url, settings).map_err(open)?;
        Ok(Self { store: Arc::new(PrefixStore::new(store, prefix)), local: None })
    }

    /// The storage in a directory.
    ///
    /// A write is on disk before it counts: the index of checkpoints is durable, so a checkpoint must not be less so.
    pub fn local(dir: &Path) -> Result<Self, StorageError> {
        if !dir.is_dir() {
            return Err(StorageError::Missing { dir: dir.to_owned() });
        }
        let store = LocalFileSystem::new_with_prefix(dir)
            .map_err(|source| StorageError::Open { address: dir.display().to_string(), source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), local: Some(dir.to_owned()) })
    }

    /// A storage opened by the caller.
    #[cfg(test)]
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, local: None }
    }

    /// The object store; paths are relative to the root.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
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
        let address = Url::from_directory_path(dir.path()).expect("absolute");
        let storage = Storage::open(address.as_str()).expect("opens");
        assert_eq!(storage.directory().map(|path| path.join("x")), Some(dir.path().join("x")));
    }
}
