//! Opens a storage by its address.

use std::io::{self, ErrorKind};
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

/// Beginnings of the variables that object stores take their settings from. Others of the environment mean something else,
/// whatever a store makes of their names.
const SETTINGS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The settings in an environment.
fn settings(environment: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    let is_meant = |name: &str| SETTINGS.iter().any(|beginning| name.starts_with(beginning));
    environment.filter(move |(name, _)| is_meant(name)).map(|(name, value)| (name.to_ascii_lowercase(), value))
}

impl Storage {
    /// Opens a storage by its address: `file://` for a directory, or an object store supported by this build. Object
    /// stores take their settings from the variables `AWS_*`, `GOOGLE_*` and `AZURE_*`.
    ///
    /// # Errors
    /// If the address is not one, or nothing that can be used is there.
    pub fn open(address: &str) -> Result<Self, StorageError> {
        let url =
            Url::parse(address).map_err(|source| StorageError::Address { address: address.to_owned(), source })?;
        if url.scheme() == "file" {
            let dir = url.to_file_path().map_err(|()| StorageError::NotLocal { address: address.to_owned() })?;
            return Self::local(&dir);
        }
        let open = |source| StorageError::Open { address: address.to_owned(), source };
        let (_, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| open(error.into()))?;
        // A variable that is not valid text cannot be one of these.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
        let (store, _) = object_store::parse_url_opts(&url, settings(variables)).map_err(open)?;
        Ok(Self { store: Arc::new(PrefixStore::new(store, prefix)), local: None })
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
        Ok(Self { store: Arc::new(store), local: Some(dir.to_owned()) })
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
    fn only_variables_of_object_stores_are_settings() {
        let variables = ["AWS_REGION", "TOKEN", "TIMEOUT", "GOOGLE_BUCKET", "AZURE_X", "MY_AWS_REGION"];
        let variables = variables.into_iter().map(|name| (name.to_owned(), "1".to_owned()));
        let names: Vec<_> = settings(variables).map(|(name, _)| name).collect();
        assert_eq!(names, ["aws_region", "google_bucket", "azure_x"]);
    }
}
