//! Compares the tables that follow from the log with it, and rewrites them from it.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::error::{cannot_begin, cannot_commit, cannot_read, cannot_write};
use super::follow;
use super::open::SqliteStore;
use super::term::expect_current;
use crate::store::columns::from_column;
use crate::store::{DerivedCheck, Differences, LogPosition, StoreError};

/// The tables with their columns. A table comes after those it refers to.
const TABLES: [(&str, &str); 6] = [
    ("campaigns", "campaign, name, submitted_at_ms"),
    ("stages", "stage, parent, size, seed, start_step, end_step"),
    ("campaign_stages", "campaign, stage"),
    ("attempts", "stage, attempt, worker, started_at_ms, ended_at_ms, outcome"),
    ("results", "stage, attempt, diverged_at_step, diverged_loss"),
    ("result_measurements", "stage, name, format('%!.17g', value)"),
];

impl SqliteStore {
    pub(super) async fn compare_derived(&self, differences: Differences) -> Result<DerivedCheck, StoreError> {
        let facts = self.facts_with_times().await?;
        let mut connection = self.driver.acquire().await.map_err(cannot_begin)?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(cannot_begin)?;
        // Curves, recipes and checkpoints refer to rows that are missing until the end of the transaction.
        let defer = sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *transaction).await;
        defer.map_err(cannot_begin)?;
        if let Differences::Rewrite(term) = differences {
            expect_current(&mut transaction, term).await?;
        }
        let mut before = Vec::new();
        for (table, columns) in TABLES {
            before.push(rows(&mut transaction, table, columns).await?);
        }
        for (table, _) in TABLES.iter().rev() {
            let delete = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *transaction).await;
            delete.map_err(cannot_write(table))?;
        }
        for (at_ms, fact) in &facts {
            follow::write(&mut transaction, *at_ms, fact).await?;
        }
        let mut wrong = Vec::new();
        for ((table, columns), before) in TABLES.iter().zip(&before) {
            if rows(&mut transaction, table, columns).await? != *before {
                wrong.push(*table);
            }
        }
        if matches!(differences, Differences::Rewrite(_)) && !wrong.is_empty() {
            transaction.commit().await.map_err(cannot_commit)?;
        } else {
            transaction.rollback().await.map_err(cannot_begin)?;
        }
        Ok(DerivedCheck { wrong, rows: before.iter().map(Vec::len).sum() })
    }

    /// Runs SQLite's own check of the file.
    pub(super) async fn check_file(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar::<_, String>("PRAGMA integrity_check").fetch_all(&self.driver).await;
        let found = found.map_err(cannot_read("sqlite_schema"))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    async fn facts_with_times(&self) -> Result<Vec<(u64, scheduler::Fact)>, StoreError> {
        let facts = self.read_facts(LogPosition::default()).await?;
        let times = sqlx::query_scalar::<_, i64>("SELECT at_ms FROM facts ORDER BY sequence");
        let times = times.fetch_all(&self.driver).await;
        let times = times.map_err(cannot_read("facts"))?;
        Ok(times.into_iter().map(from_column).zip(facts).collect())
    }
}

async fn rows(
    connection: &mut SqliteConnection,
    table: &'static str,
    columns: &'static str,
) -> Result<Vec<String>, StoreError> {
    let select = AssertSqlSafe(format!("SELECT json_array({columns}) AS row FROM {table} ORDER BY row"));
    let rows = sqlx::query_scalar(select).fetch_all(connection).await;
    rows.map_err(cannot_read(table))
}
