//! The marker at the root of a storage.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

/// Its file, below the root.
pub const MARKER: &str = "windtunnel-storage";

/// Hexadecimal digits of an identifier.
const DIGITS: usize = 32;

/// What tells one storage from all others: a random number that whoever set it up wrote into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageId(String);

/// A text that is not an identifier.
#[derive(Debug, thiserror::Error)]
#[error("a storage is identified by {DIGITS} lower-case hexadecimal digits")]
pub struct ParseStorageIdError;

impl StorageId {
    /// One that no other storage has.
    #[must_use]
    pub fn fresh() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// Reads the marker of a storage. `None` if it has none, or one that is not whole.
    ///
    /// # Errors
    /// If the storage does not answer.
    pub async fn of(store: &dyn ObjectStore) -> Result<Option<Self>, Error> {
        let text = match store.get(&Path::from(MARKER)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?.bytes().await?,
        };
        Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()))
    }

    /// Writes the marker.
    ///
    /// # Errors
    /// If the storage cannot be written.
    pub async fn mark(&self, store: &dyn ObjectStore) -> Result<(), Error> {
        store.put(&Path::from(MARKER), format!("{self}\n").into_bytes().into()).await.map(|_| ())
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StorageId {
    type Err = ParseStorageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_one = text.len() == DIGITS && text.bytes().all(is_digit);
        if is_one { Ok(Self(text.to_owned())) } else { Err(ParseStorageIdError) }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_storage_is_told_by_its_marker() {
        let store = InMemory::new();
        assert_eq!(StorageId::of(&store).await.expect("memory answers"), None);
        let id = StorageId::fresh();
        assert_ne!(id, StorageId::fresh());
        id.mark(&store).await.expect("memory takes everything");
        assert_eq!(StorageId::of(&store).await.expect("memory answers"), Some(id));
        store.put(&Path::from(MARKER), "half".into()).await.expect("memory takes everything");
        assert_eq!(StorageId::of(&store).await.expect("memory answers"), None);
    }
}
