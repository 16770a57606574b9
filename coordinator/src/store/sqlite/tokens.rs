//! Tokens: a hash, a scope and a lifetime each.

use sqlx::SqliteConnection;
use vocabulary::WorkerId;

use super::error::{cannot_read, cannot_write};
use super::open::SqliteStore;
use crate::store::columns::{self, TokenColumns, to_column};
use crate::store::{Speaker, StoreError, TokenRow};

const TABLE: &str = "tokens";

const SELECT: &str = "SELECT token, name, scope, hash, created_at_ms, expires_at_ms, revoked_at_ms FROM tokens";

impl SqliteStore {
    pub(super) async fn insert_token(&self, row: &TokenRow) -> Result<(), StoreError> {
        let insert = "INSERT INTO tokens (token, name, scope, hash, created_at_ms, expires_at_ms, revoked_at_ms) \
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert)
            .bind(&row.token)
            .bind(&row.name)
            .bind(&row.scope)
            .bind(&row.hash)
            .bind(to_column(row.created_at_ms))
            .bind(row.expires_at_ms.map(to_column))
            .bind(row.revoked_at_ms.map(to_column));
        insert.execute(&self.driver).await.map_err(cannot_write(TABLE))?;
        Ok(())
    }

    pub(super) async fn read_token(&self, token: &str) -> Result<Option<TokenRow>, StoreError> {
        let select =
            sqlx::query_as::<_, TokenColumns>(sqlx::AssertSqlSafe(format!("{SELECT} WHERE token = ?"))).bind(token);
        let found = select.fetch_optional(&self.readers).await;
        Ok(found.map_err(cannot_read(TABLE))?.map(columns::token))
    }

    pub(super) async fn read_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let select = sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY created_at_ms, token"));
        let found = sqlx::query_as::<_, TokenColumns>(select).fetch_all(&self.readers).await;
        Ok(found.map_err(cannot_read(TABLE))?.into_iter().map(columns::token).collect())
    }

    pub(super) async fn mark_token_revoked(&self, token: &str, at_ms: u64) -> Result<bool, StoreError> {
        let update = "UPDATE tokens SET revoked_at_ms = ? WHERE token = ? AND revoked_at_ms IS NULL";
        let update = sqlx::query(update).bind(to_column(at_ms)).bind(token);
        let done = update.execute(&self.driver).await.map_err(cannot_write(TABLE))?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn read_speaker(&self, worker: WorkerId) -> Result<Speaker, StoreError> {
        let select = "SELECT token, secret_hash FROM worker_streams WHERE worker = ?";
        let select = sqlx::query_as::<_, (Option<String>, Option<String>)>(select).bind(worker.to_string());
        let found = select.fetch_optional(&self.driver).await.map_err(cannot_read("worker_streams"))?;
        let (token, secret_hash) = found.unwrap_or_default();
        Ok(Speaker { token, secret_hash })
    }
}

/// Records who speaks for a worker process.
pub(super) async fn bind(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    speaker: &Speaker,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO worker_streams (worker, last_sequence, token, secret_hash) VALUES (?, 0, ?, ?) \
                  ON CONFLICT (worker) DO UPDATE SET token = excluded.token, secret_hash = excluded.secret_hash";
    let insert = sqlx::query(insert).bind(worker.to_string()).bind(&speaker.token).bind(&speaker.secret_hash);
    insert.execute(connection).await.map_err(cannot_write("worker_streams"))?;
    Ok(())
}
