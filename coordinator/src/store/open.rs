//! Which implementation a data directory has: the one place that chooses.

use std::path::Path;
use std::sync::Arc;

use super::contract::Store;
use super::copy::Portable;
use super::error::StoreError;
use super::place::Place;
use super::postgres::{PostgresStore, Presence};
use super::sqlite::SqliteStore;
use crate::STORE_FILE;

/// Opens the store of a data directory, creating it where there is none, and brings its schema up to date.
///
/// # Errors
/// If it cannot be opened or written, or if a newer version has written it.
pub async fn open_in(data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match Place::of(data_dir)? {
        Place::File => Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?),
        Place::Postgres(address) => Arc::new(PostgresStore::with_schema(&address).await?),
    })
}

/// Opens the file of a data directory, whatever store the directory has.
///
/// # Errors
/// As [`open_in`].
pub(crate) async fn open_file(data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?))
}

/// Opens a database that has a store of this version, and changes nothing in it. `None` if it has none.
///
/// # Errors
/// If it cannot be reached, or if a newer version has written it.
pub(crate) async fn open_existing(place: &Place) -> Result<Option<Arc<dyn Store>>, StoreError> {
    let Place::Postgres(address) = place else { return Ok(None) };
    let store = PostgresStore::new(address, Presence::default())?;
    Ok(if store.has_schema().await? { Some(Arc::new(store)) } else { None })
}

/// Opens a store for a coordinator of this data directory. One that others may lead is only connected to: its schema is the
/// affair of whoever begins a term.
///
/// # Errors
/// If it cannot be opened, or is empty while the directory has its data in another one.
pub(crate) async fn open_at(place: &Place, data_dir: &Path, presence: Presence) -> Result<Arc<dyn Store>, StoreError> {
    let (file, known) = (data_dir.join(STORE_FILE), Place::of(data_dir)?);
    match place {
        Place::File if known != Place::File && !file.is_file() => {
            Err(StoreError::NotCopied { known: known.to_string(), asked: file.display().to_string() })
        }
        Place::File => Ok(Arc::new(SqliteStore::open(&file).await?)),
        Place::Postgres(address) => {
            let store = PostgresStore::new(address, presence)?;
            if known == Place::File && file.is_file() && !store.has_data().await? {
                return Err(StoreError::NotCopied { known: file.display().to_string(), asked: place.to_string() });
            }
            Ok(Arc::new(store))
        }
    }
}

/// Has a data directory remember a store. Nothing is written to the store.
///
/// # Errors
/// If the store cannot be opened, or is empty while the directory has its data in another one.
pub async fn choose(place: &Place, data_dir: &Path) -> Result<(), StoreError> {
    let place = place.clone().with_password()?;
    if Place::of(data_dir)? != place {
        open_at(&place, data_dir, Presence::default()).await?.close().await;
        place.note(data_dir)?;
    }
    Ok(())
}

/// Opens the store of a data directory beside the coordinator that may be running on it. `None` if its schema is an earlier
/// one: only whoever has the store to itself may change that.
pub(crate) async fn open_beside(data_dir: &Path) -> Result<Option<Arc<dyn Store>>, StoreError> {
    match Place::of(data_dir)? {
        Place::File => {
            let store = SqliteStore::open_migrated(&data_dir.join(STORE_FILE)).await?;
            Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
        }
        Place::Postgres(address) => {
            let store = PostgresStore::new(&address, Presence::default())?;
            Ok(if store.has_schema().await? { Some(Arc::new(store)) } else { None })
        }
    }
}

/// Opens the store of a data directory without writing anything.
pub(super) async fn open_to_read(data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
    match Place::of(data_dir)? {
        Place::File => Ok(Arc::new(SqliteStore::open_to_read(&data_dir.join(STORE_FILE)).await?)),
        Place::Postgres(_) => open_beside(data_dir).await?.ok_or(StoreError::Earlier),
    }
}

/// Opens a store to be copied, or copied into.
pub(crate) async fn open_portable(place: &Place, data_dir: &Path) -> Result<Arc<dyn Portable>, StoreError> {
    Ok(match place {
        Place::File => Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?),
        Place::Postgres(address) => Arc::new(PostgresStore::new(address, Presence::default())?),
    })
}

/// Whether a data directory has a store.
#[must_use]
pub fn is_in(data_dir: &Path) -> bool {
    data_dir.join(STORE_FILE).is_file() || !matches!(Place::of(data_dir), Ok(Place::File))
}
