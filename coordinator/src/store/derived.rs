//! Whether the tables that follow from the log do, and writing them anew from it.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::error::StoreError;
use super::follow;
use super::number::from_column;
use super::open::Store;

/// The tables, those that others refer to first, with the columns that make up a row.
const TABLES: [(&str, &str); 5] = [
    ("campaigns", "campaign, name, submitted_at_ms"),
    ("stages", "stage, parent, size, seed, start_step, end_step"),
    ("campaign_stages", "campaign, stage"),
    ("attempts", "stage, attempt, worker, started_at_ms, ended_at_ms, outcome"),
    ("results", "stage, attempt, validation_loss, validation_loss_per_byte, diverged_at_step, diverged_loss"),
];

/// What to do about tables that are not what the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// Only say so.
    Leave,
    /// Write the tables anew.
    Mend,
}

impl Store {
    /// The tables that are not what follows from the log, and the number of rows in all of them.
    ///
    /// # Errors
    /// If the log or a table cannot be read or written. Nothing is changed then.
    pub async fn check_derived(&self, differences: Differences) -> Result<(Vec<&'static str>, usize), StoreError> {
        let facts = self.facts_with_times().await?;
        let mut connection = self.driver.acquire().await.map_err(StoreError::Begin)?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Begin)?;
        // Curves, recipes and checkpoints refer to rows that are gone for a moment.
        let defer = sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *transaction).await;
        defer.map_err(StoreError::Begin)?;
        let mut before = Vec::new();
        for (table, columns) in TABLES {
            before.push(rows(&mut transaction, table, columns).await?);
        }
        for (table, _) in TABLES.iter().rev() {
            let delete = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *transaction).await;
            delete.map_err(|source| StoreError::Write { table, source })?;
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
        if differences == Differences::Mend && !wrong.is_empty() {
            transaction.commit().await.map_err(StoreError::Commit)?;
        } else {
            transaction.rollback().await.map_err(StoreError::Begin)?;
        }
        Ok((wrong, before.iter().map(Vec::len).sum()))
    }

    /// What SQLite itself finds wrong with the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn check_file(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar::<_, String>("PRAGMA integrity_check").fetch_all(&self.driver).await;
        let found = found.map_err(|source| StoreError::Read { table: "sqlite_schema", source })?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    async fn facts_with_times(&self) -> Result<Vec<(u64, scheduler::Fact)>, StoreError> {
        let facts = self.facts().await?;
        let times = sqlx::query_scalar::<_, i64>("SELECT at_ms FROM facts ORDER BY sequence");
        let times = times.fetch_all(&self.driver).await;
        let times = times.map_err(|source| StoreError::Read { table: "facts", source })?;
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
    rows.map_err(|source| StoreError::Read { table, source })
}
