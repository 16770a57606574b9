//! The schema, and bringing that of a file up to date.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

use super::error::cannot_read;
use super::measurements;
use crate::store::StoreError;

/// The number and the file of each migration, in order. `migrations_are_complete` compares them with the folder. Numbers may be
/// missing: they are set aside for changes that are made side by side.
///
/// `sqlx::migrate!` would find the files by itself, and compile SQLite a second time, for the compiler to run.
const FILES: [(i64, &str, &str); 11] = [
    (1, "log and tables", include_str!("../../../migrations/0001_log_and_tables.sql")),
    (2, "tokens", include_str!("../../../migrations/0002_tokens.sql")),
    (3, "chain and snapshots", include_str!("../../../migrations/0003_chain_and_snapshots.sql")),
    (4, "checkpoints have a time", include_str!("../../../migrations/0004_checkpoints_have_a_time.sql")),
    (5, "dynamics", include_str!("../../../migrations/0005_dynamics.sql")),
    (6, "term", include_str!("../../../migrations/0006_term.sql")),
    (7, "measurements", include_str!("../../../migrations/0007_measurements.sql")),
    (8, "result rows", include_str!("../../../migrations/0008_result_rows.sql")),
    (9, "worker secrets", include_str!("../../../migrations/0009_worker_secrets.sql")),
    (10, "deletions", include_str!("../../../migrations/0010_deletions.sql")),
    (12, "pools", include_str!("../../../migrations/0012_pools.sql")),
];

/// The table in which sqlx notes what it has applied.
const TABLE: &str = "_sqlx_migrations";

/// Every schema there was, in order.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| migrator(&FILES));

fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |(version, description, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// Whether a file has every migration of this version; it may have more.
pub(super) async fn has_every_migration(file: &SqlitePool) -> Result<bool, StoreError> {
    let tables = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema WHERE name = ?").bind(TABLE);
    if tables.fetch_one(file).await.map_err(cannot_read(TABLE))? == 0 {
        return Ok(false);
    }
    let applied = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM _sqlx_migrations WHERE success");
    Ok(applied.fetch_one(file).await.map_err(cannot_read(TABLE))? >= FILES.len() as i64)
}

/// Applies the migrations that a file does not have yet, and what follows them.
pub(super) async fn bring_up_to_date(file: &SqlitePool) -> Result<(), StoreError> {
    MIGRATIONS.run(file).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            StoreError::Newer { found, known: MIGRATIONS.iter().map(|known| known.version).max().unwrap_or(0) }
        }
        MigrateError::VersionMismatch(version) => StoreError::OtherSchema { version },
        error => StoreError::Migrate(error.into()),
    })?;
    measurements::complete_results(file).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::Connection;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use vocabulary::metrics::{
        D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE, VALIDATION_LOSS,
        VALIDATION_LOSS_PER_BYTE,
    };
    use vocabulary::{Measurements, StageKey};

    use super::*;
    use crate::store::Store as _;
    use crate::store::sqlite::SqliteStore;

    /// Schemas before measurements had names.
    const WITH_COLUMNS: usize = 5;

    /// The first row is what a stage recorded that has no head of its own, the second one is compared with it; of the third
    /// stage nothing is recorded.
    const ROWS: &str = "
        INSERT INTO campaigns VALUES ('campaign_1', 'old', 1);
        INSERT INTO stages VALUES ($1, NULL, 'a', 0, 0, 2), ($2, NULL, 'b', 0, 0, 1), ($3, NULL, 'c', 0, 0, 1);
        INSERT INTO attempts VALUES ($1, 1, 'w', 1, 2, 'completed'), ($1, 2, 'w', 3, 4, 'completed'),
                                    ($2, 1, 'w', 1, 2, 'completed'), ($3, 1, 'w', 1, 2, 'diverged');
        INSERT INTO results VALUES ($1, 1, 3.0, 0.30000000000000004, NULL, NULL), ($2, 1, NULL, NULL, NULL, NULL),
                                   ($3, 1, NULL, NULL, 0, 99.5);
        INSERT INTO curve_points VALUES ($1, 0, 1, 5.0, 1.0, 0.1), ($1, 1, 1, 4.0, 1.0, 0.1), ($2, 0, 1, 3.0, 1.0, 0.1);
        INSERT INTO curve_dynamics VALUES ($1, 0, 0.5, 0, NULL, NULL, NULL, NULL, 63, 1, 2, 3, 4, NULL, 6, NULL),
                                          ($1, 1, NULL, 1, -1, NULL, 0.1, 1e300, 64, NULL, NULL, NULL, NULL, NULL, NULL, 7)";

    fn stage(name: &str) -> StageKey {
        StageKey::from_content(name.as_bytes())
    }

    /// A file as a version wrote it that had `WITH_COLUMNS` schemas.
    async fn old_file(path: &Path) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut file = SqliteConnection::connect_with(&options).await.expect("it opens");
        migrator(&FILES[..WITH_COLUMNS]).run(&mut file).await.expect("it is made");
        let mut rows = ROWS.to_owned();
        for (place, name) in [("$1", "recorded"), ("$2", "plain"), ("$3", "diverged")] {
            rows = rows.replace(place, &format!("'{}'", stage(name)));
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut file).await.expect("they are written");
        let results = [
            r#"{"validation_loss":3.0,"validation_loss_per_byte":0.30000000000000004,"sets":[{"per_token":2.0,"per_byte":0.1},{"per_token":4.0,"per_byte":0.5000000000000001}]}"#,
            r#"{"validation_loss":9.0,"validation_loss_per_byte":9.0,"sets":[{"per_token":9.0,"per_byte":9.0}]}"#,
        ];
        for (result, attempt) in results.into_iter().zip(1..) {
            let key = stage("recorded");
            let fact = format!(r#"{{"fact":"stage_completed","stage":"{key}","attempt":{attempt},"result":{result}}}"#);
            let insert = sqlx::query("INSERT INTO facts (at_ms, fact) VALUES (1, ?)").bind(fact);
            insert.execute(&mut file).await.expect("it is written");
        }
        file.close().await.expect("it closes");
    }

    #[tokio::test]
    async fn what_earlier_versions_kept_in_columns_is_there_by_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.sqlite");
        old_file(&path).await;
        let store = SqliteStore::open(&path).await.expect("it is brought up to date");

        let curve = store.curve(stage("recorded"), 0, usize::MAX).await.expect("it can be read");
        let update = |kind| LARGEST_UPDATE.part(kind);
        let first = Measurements::new()
            .with(LARGEST_GRADIENT, 0.5)
            .with(update("embedding"), 1.0)
            .with(update("qkv"), 2.0)
            .with(update("attention_out"), 3.0)
            .with(update("gate_up"), 4.0)
            .with(update("down"), f64::NAN)
            .with(update("gain"), 6.0);
        let second = Measurements::new()
            .with(LARGEST_GRADIENT, f64::NAN)
            .with(GRADIENT_PRODUCT, -1.0)
            .with(GRADIENT_COSINE, f64::NAN)
            .with(D1, 0.1)
            .with(D2, 1e300)
            .with(update("head"), 7.0);
        let measured: Vec<Measurements> = curve.into_iter().map(|point| point.measurements).collect();
        assert_eq!(measured, [first, second]);
        let plain = store.curve(stage("plain"), 0, usize::MAX).await.expect("it can be read");
        assert!(plain.len() == 1 && plain[0].measurements.is_empty());

        let select = "SELECT stage, name, value FROM result_measurements ORDER BY stage, name";
        let results = sqlx::query_as::<_, (String, String, f64)>(select).fetch_all(&store.readers).await;
        let key = stage("recorded").to_string();
        let [loss, per_byte] = [VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE].map(|metric| metric.name);
        // Those of the first result: the stage was trained again later.
        let expected = [
            (loss.to_owned(), 3.0),
            (format!("{loss}/0"), 2.0),
            (format!("{loss}/1"), 4.0),
            (per_byte.to_owned(), 0.1 + 0.2),
            (format!("{per_byte}/0"), 0.1),
            (format!("{per_byte}/1"), 0.5000000000000001),
        ];
        assert_eq!(results.expect("they can be read"), expected.map(|(name, value)| (key.clone(), name, value)));
        let diverged = "SELECT diverged_at_step, diverged_loss FROM results WHERE diverged_loss IS NOT NULL";
        let diverged = sqlx::query_as::<_, (i64, f64)>(diverged).fetch_all(&store.readers).await;
        assert_eq!(diverged.expect("it can be read"), [(0, 99.5)]);
        store.close().await;

        // And once only.
        let store = SqliteStore::open(&path).await.expect("it opens again");
        let delete = "DELETE FROM result_measurements WHERE name LIKE '%/%'";
        sqlx::query(delete).execute(&store.driver).await.expect("they are deleted");
        store.close().await;
        let store = SqliteStore::open(&path).await.expect("it opens again");
        let left =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM result_measurements").fetch_one(&store.readers).await;
        assert_eq!(left.expect("it can be read"), 2);
    }

    #[test]
    fn migrations_are_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let files = std::fs::read_dir(folder).expect("the folder of migrations can be read");
        let mut files: Vec<String> =
            files.map(|file| file.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
        // Those of PostgreSQL.
        files.retain(|file| file != "postgres");
        files.sort();
        let names =
            FILES.iter().map(|(version, description, _)| format!("{version:04}_{}.sql", description.replace(' ', "_")));
        assert_eq!(files, names.collect::<Vec<_>>());
    }
}
