//! Opens and closes the file.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlitePool};

use super::error::cannot_open;
use super::schema;
use crate::store::StoreError;

/// How long a call waits for another process, such as a database tool, to release the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Concurrent reads on behalf of people.
const READERS: u32 = 4;

/// A store in one file, as a cheap handle. See the [module's page](super).
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// The driver's one connection. It never waits for people, however many curves they read.
    pub(super) driver: SqlitePool,
    /// For everybody else; read-only.
    pub(super) readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, creating it if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be opened or written, or if a newer version has written it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_waiting(path, BUSY_TIMEOUT).await
    }

    /// The same, with calls that wait this long for another process to release the file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_waiting(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        let store = Self::connect(path, busy).await?;
        match schema::bring_up_to_date(&store.driver).await {
            Ok(()) => Ok(store),
            Err(error) => {
                store.close_file().await;
                Err(error)
            }
        }
    }

    /// Opens the file if it has every migration of this version; otherwise `None`, and its schema stays as it is.
    ///
    /// # Errors
    /// If it cannot be opened or written, or if a newer version has written it.
    pub(in crate::store) async fn open_migrated(path: &Path) -> Result<Option<Self>, StoreError> {
        let store = Self::connect(path, BUSY_TIMEOUT).await?;
        let is_migrated = match schema::has_every_migration(&store.driver).await {
            // Nothing is left to apply: this looks whether the file is of a newer version.
            Ok(true) => schema::bring_up_to_date(&store.driver).await.map(|()| true),
            other => other,
        };
        if matches!(is_migrated, Ok(true)) {
            return Ok(Some(store));
        }
        store.close_file().await;
        is_migrated.map(|_| None)
    }

    async fn connect(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        keep_private(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(busy);
        let driver = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        // After a commit that SQLite rolled back by itself, as on a full disk, sqlx takes the transaction for open. Such a
        // connection is replaced.
        let driver = driver.before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }));
        let driver = driver.test_before_acquire(false).connect_with(options).await.map_err(cannot_open)?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(busy);
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options);
        Ok(Self { driver, readers })
    }

    /// Opens an existing file without writing anything, to it or beside it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(in crate::store) async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Without a write-ahead log beside it nobody has it open, and reading needs no files beside it either.
        let is_at_rest = !Path::new(&log).exists();
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(is_at_rest);
        let readers = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(cannot_open)?;
        Ok(Self { driver: readers.clone(), readers })
    }

    pub(super) async fn close_file(&self) {
        // The driver last: only a connection that may write can clean up the write-ahead log.
        self.readers.close().await;
        self.driver.close().await;
    }
}

/// Lets nobody else read the file. SQLite gives the files that it makes beside it the same mode.
fn keep_private(path: &Path) {
    // If that fails, opening the file says why.
    let _ = File::options().create(true).append(true).mode(0o600).open(path);
    for suffix in ["", "-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        // A file of another user keeps its mode.
        let _ = fs::set_permissions(beside, Permissions::from_mode(0o600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_committed_is_on_the_disk_and_people_only_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(&dir.path().join("store.sqlite")).await.expect("it opens");
        let settings = "SELECT journal_mode, synchronous, foreign_keys \
                        FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys";
        let settings = sqlx::query_as::<_, (String, i64, i64)>(settings).fetch_one(&store.driver).await;
        const FULL: i64 = 2;
        assert_eq!(settings.expect("they can be read"), ("wal".to_owned(), FULL, 1));
        sqlx::query("DELETE FROM recipes").execute(&store.readers).await.expect_err("readers cannot write");
    }
}
