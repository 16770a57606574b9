//! The writer's term, beside the log's end.

use sqlx::SqliteConnection;

use super::error::{cannot_commit, cannot_read, cannot_write};
use super::open::SqliteStore;
use crate::store::columns::from_column;
use crate::store::{StoreError, Term};

const TABLE: &str = "log_end";

impl SqliteStore {
    pub(super) async fn raise_term(&self) -> Result<Term, StoreError> {
        let mut transaction = self.begin().await?;
        let upsert = "INSERT INTO log_end (only, sequence, chain, term) VALUES (1, 0, NULL, 1) \
                      ON CONFLICT (only) DO UPDATE SET term = log_end.term + 1 RETURNING term";
        let term: i64 = sqlx::query_scalar(upsert).fetch_one(&mut *transaction).await.map_err(cannot_write(TABLE))?;
        transaction.commit().await.map_err(cannot_commit)?;
        Ok(Term(from_column(term)))
    }
}

/// Refuses a term in this transaction unless it is the current one.
pub(super) async fn expect_current(connection: &mut SqliteConnection, term: Term) -> Result<(), StoreError> {
    let current = sqlx::query_scalar("SELECT term FROM log_end").fetch_optional(connection).await;
    let current: Option<i64> = current.map_err(cannot_read(TABLE))?;
    term.expect_current(from_column(current.unwrap_or_default()))
}
