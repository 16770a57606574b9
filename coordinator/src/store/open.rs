//! Which implementation a data directory has: the one place that chooses.

use std::path::Path;
use std::sync::Arc;

use super::contract::Store;
use super::error::StoreError;
use super::sqlite::SqliteStore;
use crate::STORE_FILE;

/// Opens the store of a data directory, creating it where there is none, and brings its schema up to date.
///
/// # Errors
/// If it cannot be opened or written, or if a newer version has written it.
pub async fn open_in(data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?))
}

/// Opens the store of a data directory beside the coordinator that may be running on it. `None` if its schema is an earlier
/// one: only whoever has the directory to itself may change that.
pub(crate) async fn open_beside(data_dir: &Path) -> Result<Option<Arc<dyn Store>>, StoreError> {
    let store = SqliteStore::open_migrated(&data_dir.join(STORE_FILE)).await?;
    Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
}

/// Opens the store of a data directory without writing anything.
pub(super) async fn open_to_read(data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::open_to_read(&data_dir.join(STORE_FILE)).await?))
}

/// Whether a data directory has a store.
#[must_use]
pub fn is_in(data_dir: &Path) -> bool {
    data_dir.join(STORE_FILE).is_file()
}
