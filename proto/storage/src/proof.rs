//! Shows that a process can use a storage.

use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::time::timeout;

use crate::marker::StorageId;

/// The folder of what is written to see whether it can be.
const PROBES: &str = "probes";

/// A storage that takes longer does not answer, as a network file system whose server is gone.
const LONGEST: Duration = Duration::from_secs(60);

/// Why a process cannot use a storage.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It sees something else than a storage, such as an empty folder where a file system should be mounted.
    #[error("it has no marker of a coordinator: is the coordinator's file system mounted here?")]
    Unmarked,
    /// It sees the storage of somebody else.
    #[error("it is another storage than the coordinator's")]
    Other,
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] Error),
    /// It cannot be written.
    #[error("it cannot be written")]
    Write(#[source] Error),
    /// It does not keep what is written.
    #[error("it does not give back what was written to it")]
    Forgetful,
    /// It does not answer.
    #[error("it has not answered for {} s", LONGEST.as_secs())]
    TooSlow,
}

impl ProofError {
    /// Whether the storage answered, and is not the coordinator's.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Unmarked | Self::Other)
    }
}

/// Shows that a storage is the one that is meant, and that it can be written, read and cleaned up under this name.
///
/// # Errors
/// If it is another one, or does not do what it should.
pub async fn prove(store: &dyn ObjectStore, id: &StorageId, name: &str) -> Result<(), ProofError> {
    let proof = async {
        match StorageId::of(store).await.map_err(ProofError::Read)? {
            None => return Err(ProofError::Unmarked),
            Some(found) if found != *id => return Err(ProofError::Other),
            Some(_) => {}
        }
        let (path, content) = (Path::from(format!("{PROBES}/{name}")), StorageId::fresh().to_string());
        store.put(&path, content.clone().into()).await.map_err(ProofError::Write)?;
        let found = match store.get(&path).await {
            Err(Error::NotFound { .. }) => return Err(ProofError::Forgetful),
            found => found.map_err(ProofError::Read)?.bytes().await.map_err(ProofError::Read)?,
        };
        store.delete(&path).await.map_err(ProofError::Write)?;
        if found == content { Ok(()) } else { Err(ProofError::Forgetful) }
    };
    timeout(LONGEST, proof).await.unwrap_or(Err(ProofError::TooSlow))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn only_the_storage_that_is_meant_is_proved_and_nothing_is_left_in_it() {
        let (store, id) = (InMemory::new(), StorageId::fresh());
        let error = prove(&store, &id, "w1").await.expect_err("it is empty");
        assert!(matches!(error, ProofError::Unmarked) && error.is_elsewhere(), "{error}");
        StorageId::fresh().mark(&store).await.expect("memory takes everything");
        let error = prove(&store, &id, "w1").await.expect_err("it is another's");
        assert!(matches!(error, ProofError::Other) && error.is_elsewhere(), "{error}");
        id.mark(&store).await.expect("memory takes everything");
        prove(&store, &id, "w1").await.expect("it is the one");
        assert_eq!(store.list(None).count().await, 1, "the marker");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_told_from_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = crate::Storage::local(dir.path()).expect("opens");
        let id = StorageId::fresh();
        id.mark(storage.store().as_ref()).await.expect("written");
        // A file in its way is what keeps every user from making the folder.
        std::fs::write(dir.path().join(PROBES), b"").expect("written");
        let error = prove(storage.store().as_ref(), &id, "w1").await.expect_err("it cannot be written");
        assert!(matches!(error, ProofError::Write(_)) && !error.is_elsewhere(), "{error}");
    }
}
