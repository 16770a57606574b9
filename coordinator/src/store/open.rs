//! Opening the file, and bringing its schema up to date.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqlitePool};

use super::error::StoreError;

/// The file of each migration, in order: the first is version 1. `migrations_are_complete` compares it with the folder.
///
/// `sqlx::migrate!` would find the files by itself, and compile SQLite a second time, for the compiler to run.
const FILES: [(&str, &str); 5] = [
    ("log and tables", include_str!("../../migrations/0001_log_and_tables.sql")),
    ("tokens", include_str!("../../migrations/0002_tokens.sql")),
    ("chain and snapshots", include_str!("../../migrations/0003_chain_and_snapshots.sql")),
    ("checkpoints have a time", include_str!("../../migrations/0004_checkpoints_have_a_time.sql")),
    ("dynamics", include_str!("../../migrations/0005_dynamics.sql")),
];

/// Every schema there was, in order.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |(version, (description, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(FILES).map(migration).collect())
});

/// How long to wait for somebody else, such as a person with a database tool, to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// People's reads at a time.
const READERS: u32 = 4;

/// The store, as a cheap handle. See the [module's page](super).
#[derive(Debug, Clone)]
pub struct Store {
    /// The one connection of the driver. It never waits for people, however many curves they ask for.
    pub(super) driver: SqlitePool,
    /// For everybody else, who only reads.
    pub(super) readers: SqlitePool,
}

impl Store {
    /// Opens the file, which is made if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be opened or written, or if a newer version has written it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let driver = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let driver = driver.test_before_acquire(false).connect_with(options).await.map_err(StoreError::Open)?;
        if let Err(error) = MIGRATIONS.run(&driver).await {
            driver.close().await;
            return Err(not_migrated(error));
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options);
        Ok(Self { driver, readers })
    }

    /// Closes the file, once nobody reads any more. What was committed is safe without it.
    pub async fn close(&self) {
        // The driver's last: only a connection that may write can tidy up the write-ahead log.
        self.readers.close().await;
        self.driver.close().await;
    }
}

fn not_migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) => {
            StoreError::Newer { found, known: MIGRATIONS.iter().map(|known| known.version).max().unwrap_or(0) }
        }
        MigrateError::VersionMismatch(version) => StoreError::OtherSchema { version },
        error => StoreError::Migrate(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let files = std::fs::read_dir(folder).expect("the folder of migrations can be read");
        let mut files: Vec<String> =
            files.map(|file| file.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
        files.sort();
        let names = FILES
            .iter()
            .zip(1..)
            .map(|((description, _), version): (_, i64)| format!("{version:04}_{}.sql", description.replace(' ', "_")));
        assert_eq!(files, names.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_committed_is_on_the_disk_and_people_only_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(&dir.path().join("store.sqlite")).await.expect("it opens");
        let settings = "SELECT journal_mode, synchronous, foreign_keys \
                        FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys";
        let settings = sqlx::query_as::<_, (String, i64, i64)>(settings).fetch_one(&store.driver).await;
        const FULL: i64 = 2;
        assert_eq!(settings.expect("they can be read"), ("wal".to_owned(), FULL, 1));
        sqlx::query("DELETE FROM recipes").execute(&store.readers).await.expect_err("readers cannot write");
    }
}
