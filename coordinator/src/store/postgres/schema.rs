//! The schema, and bringing that of a database up to date.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr as _};

use super::error::{cannot_migrate, cannot_read, cannot_write};
use crate::store::StoreError;

/// The file of each migration, in order: the first is version 1. `migrations_are_complete` compares it with the folder.
const FILES: [(&str, &str); 1] =
    [("log and tables", include_str!("../../../migrations/postgres/0001_log_and_tables.sql"))];

/// The table that is there before all migrations.
const LEADER: &str = include_str!("../../../migrations/postgres/leader.sql");

/// The table in which sqlx notes what it has applied.
const TABLE: &str = "_sqlx_migrations";

/// Every schema there was, in order. Whoever applies them holds the lock of the store already.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |(version, (description, sql)): (i64, &(&'static str, &'static str))| {
        Migration::new(version, (*description).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations((1..).zip(&FILES).map(migration).collect());
    migrator.set_locking(false);
    migrator
});

pub(super) async fn has_table(connection: &mut PgConnection, table: &'static str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(connection).await;
    found.map_err(cannot_read(table))
}

/// Whether a database has every migration of this version.
pub(super) async fn has_every_migration(connection: &mut PgConnection) -> Result<bool, StoreError> {
    if !has_table(connection, TABLE).await? {
        return Ok(false);
    }
    let applied = sqlx::query_scalar::<_, i64>("SELECT max(version) FROM _sqlx_migrations WHERE success");
    let found = applied.fetch_one(connection).await.map_err(cannot_read(TABLE))?;
    let known = FILES.len() as i64;
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(found == known) }
}

/// Makes the table of the leader where there is none. The caller holds the lock.
pub(super) async fn make_leader(connection: &mut PgConnection) -> Result<(), StoreError> {
    if !has_table(connection, "leader").await? {
        // Several statements sent together are one transaction.
        sqlx::raw_sql(LEADER).execute(connection).await.map_err(cannot_write("leader"))?;
    }
    Ok(())
}

/// Applies the migrations that a database does not have yet. The caller holds the lock.
pub(super) async fn bring_up_to_date(connection: &mut PgConnection) -> Result<(), StoreError> {
    // `run` asks for more than a future that may be sent can promise.
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => StoreError::Newer { found, known: FILES.len() as i64 },
        MigrateError::VersionMismatch(version) => StoreError::OtherSchema { version },
        error => cannot_migrate(error),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn migrations_are_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
        let files = std::fs::read_dir(folder).expect("the folder of migrations can be read");
        let mut files: Vec<String> =
            files.map(|file| file.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
        files.sort();
        let names = FILES
            .iter()
            .zip(1..)
            .map(|((description, _), version): (_, i64)| format!("{version:04}_{}.sql", description.replace(' ', "_")));
        assert_eq!(files, names.chain(["leader.sql".to_owned()]).collect::<Vec<_>>());
    }
}
