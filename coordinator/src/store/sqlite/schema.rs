//! The schema, and bringing that of a file up to date.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

use crate::store::StoreError;

/// The file of each migration, in order: the first is version 1. `migrations_are_complete` compares it with the folder.
///
/// `sqlx::migrate!` would find the files by itself, and compile SQLite a second time, for the compiler to run.
const FILES: [(&str, &str); 6] = [
    ("log and tables", include_str!("../../../migrations/0001_log_and_tables.sql")),
    ("tokens", include_str!("../../../migrations/0002_tokens.sql")),
    ("chain and snapshots", include_str!("../../../migrations/0003_chain_and_snapshots.sql")),
    ("checkpoints have a time", include_str!("../../../migrations/0004_checkpoints_have_a_time.sql")),
    ("dynamics", include_str!("../../../migrations/0005_dynamics.sql")),
    ("term", include_str!("../../../migrations/0006_term.sql")),
];

/// Every schema there was, in order.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |(version, (description, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(FILES).map(migration).collect())
});

/// Applies the migrations that a file does not have yet.
pub(super) async fn bring_up_to_date(file: &SqlitePool) -> Result<(), StoreError> {
    MIGRATIONS.run(file).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            StoreError::Newer { found, known: MIGRATIONS.iter().map(|known| known.version).max().unwrap_or(0) }
        }
        MigrateError::VersionMismatch(version) => StoreError::OtherSchema { version },
        error => StoreError::Migrate(error.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
}
