//! Compares the tables that follow from the log with it, and rewrites them from it.

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::{cannot_begin, cannot_read, cannot_write};
use super::follow;
use super::open::PostgresStore;
use crate::store::columns::from_column;
use crate::store::{DerivedCheck, Differences, LogPosition, StoreError};

/// The tables with their columns. A table comes after those it refers to.
const TABLES: [(&str, &str); 6] = [
    ("campaigns", "campaign, name, submitted_at_ms"),
    ("stages", "stage, parent, size, seed, start_step, end_step"),
    ("campaign_stages", "campaign, stage"),
    ("attempts", "stage, attempt, worker, started_at_ms, ended_at_ms, outcome"),
    ("results", "stage, attempt, diverged_at_step, diverged_loss"),
    ("result_measurements", "stage, name, value"),
];

impl PostgresStore {
    pub(super) async fn compare_derived(&self, differences: Differences) -> Result<DerivedCheck, StoreError> {
        let facts = self.facts_with_times().await?;
        match differences {
            // Whoever only compares takes everything back, and needs no term.
            Differences::Leave => {
                let mut transaction = self.people.begin_with("BEGIN READ WRITE").await.map_err(cannot_begin)?;
                let compared = compare(&mut transaction, &facts).await;
                transaction.rollback().await.map_err(cannot_begin)?;
                compared
            }
            Differences::Rewrite(term) => {
                let mut transaction = self.begin(term).await?;
                match compare(transaction.connection(), &facts).await {
                    Ok(check) if check.wrong.is_empty() => transaction.roll_back().await.map(|()| check),
                    compared => transaction.end(compared).await,
                }
            }
        }
    }

    /// What PostgreSQL itself found out about the pages of the database, where it keeps checksums of them.
    pub(super) async fn check_file(&self) -> Result<Vec<String>, StoreError> {
        let select = "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()";
        let failures = sqlx::query_scalar::<_, i64>(select).fetch_one(&self.reads).await;
        let failures = failures.map_err(cannot_read("pg_stat_database"))?;
        let line = format!("PostgreSQL found {failures} pages of the database that differ from their checksums");
        Ok(if failures > 0 { vec![line] } else { Vec::new() })
    }

    async fn facts_with_times(&self) -> Result<Vec<(u64, scheduler::Fact)>, StoreError> {
        let facts = self.read_facts(LogPosition::default()).await?;
        let times = sqlx::query_scalar::<_, i64>("SELECT at_ms FROM facts ORDER BY sequence");
        let times = times.fetch_all(&self.reads).await;
        let times = times.map_err(cannot_read("facts"))?;
        Ok(times.into_iter().map(from_column).zip(facts).collect())
    }
}

/// Rewrites the tables from the log, and says which of them were other before.
async fn compare(connection: &mut PgConnection, facts: &[(u64, scheduler::Fact)]) -> Result<DerivedCheck, StoreError> {
    // Curves, recipes and checkpoints refer to rows that are missing until the end of the transaction.
    let defer = sqlx::raw_sql("SET CONSTRAINTS ALL DEFERRED").execute(&mut *connection).await;
    defer.map_err(cannot_begin)?;
    let mut before = Vec::new();
    for (table, columns) in TABLES {
        before.push(rows(connection, table, columns).await?);
    }
    for (table, _) in TABLES.iter().rev() {
        let delete = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *connection).await;
        delete.map_err(cannot_write(table))?;
    }
    for (at_ms, fact) in facts {
        follow::write(connection, *at_ms, fact).await?;
    }
    let mut wrong = Vec::new();
    for ((table, columns), before) in TABLES.iter().zip(&before) {
        if rows(connection, table, columns).await? != *before {
            wrong.push(*table);
        }
    }
    Ok(DerivedCheck { wrong, rows: before.iter().map(Vec::len).sum() })
}

async fn rows(
    connection: &mut PgConnection,
    table: &'static str,
    columns: &'static str,
) -> Result<Vec<String>, StoreError> {
    // The text of a row tells numbers apart that differ in their last bit.
    let select = AssertSqlSafe(format!("SELECT CAST(ROW({columns}) AS TEXT) FROM {table} ORDER BY 1"));
    let rows = sqlx::query_scalar(select).fetch_all(connection).await;
    rows.map_err(cannot_read(table))
}
