//! Tokens, as far as they are kept: a hash, a scope, and until when.

use sqlx::SqliteConnection;
use vocabulary::WorkerId;

use super::error::StoreError;
use super::number::{from_column, to_column};
use super::open::Store;
use crate::people::unix_ms;

const TABLE: &str = "tokens";

/// A token that was made. Its secret is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The part of it that is no secret.
    pub token: String,
    /// For people.
    pub name: String,
    /// What it allows.
    pub scope: String,
    /// BLAKE3 of the whole, in hexadecimal.
    pub hash: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it expires; `None` where it does not.
    pub expires_at_ms: Option<u64>,
    /// When it was revoked; `None` where it was not.
    pub revoked_at_ms: Option<u64>,
}

/// Whether a token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    Valid,
    /// It did, until its time was over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl TokenRow {
    /// Whether it counts now.
    #[must_use]
    pub fn state(&self) -> TokenState {
        if self.revoked_at_ms.is_some() {
            TokenState::Revoked
        } else if self.expires_at_ms.is_some_and(|at| at <= unix_ms()) {
            TokenState::Expired
        } else {
            TokenState::Valid
        }
    }
}

type Columns = (String, String, String, String, i64, Option<i64>, Option<i64>);

const SELECT: &str = "SELECT token, name, scope, hash, created_at_ms, expires_at_ms, revoked_at_ms FROM tokens";

impl Store {
    /// Keeps a token.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn add_token(&self, row: &TokenRow) -> Result<(), StoreError> {
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
        insert.execute(&self.driver).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
        Ok(())
    }

    /// A token, by the part of it that is no secret.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn token(&self, token: &str) -> Result<Option<TokenRow>, StoreError> {
        let select = sqlx::query_as::<_, Columns>(sqlx::AssertSqlSafe(format!("{SELECT} WHERE token = ?"))).bind(token);
        let found = select.fetch_optional(&self.readers).await;
        Ok(found.map_err(|source| StoreError::Read { table: TABLE, source })?.map(row))
    }

    /// Every token that was ever made, the oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let select = sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY created_at_ms, token"));
        let found = sqlx::query_as::<_, Columns>(select).fetch_all(&self.readers).await;
        Ok(found.map_err(|source| StoreError::Read { table: TABLE, source })?.into_iter().map(row).collect())
    }

    /// Revokes a token; whether there was one to revoke.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn revoke_token(&self, token: &str, at_ms: u64) -> Result<bool, StoreError> {
        let update = "UPDATE tokens SET revoked_at_ms = ? WHERE token = ? AND revoked_at_ms IS NULL";
        let update = sqlx::query(update).bind(to_column(at_ms)).bind(token);
        let done = update.execute(&self.driver).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
        Ok(done.rows_affected() > 0)
    }

    /// The token under which a worker process said its first hello, where it needed one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn token_of_worker(&self, worker: WorkerId) -> Result<Option<String>, StoreError> {
        let select = sqlx::query_scalar("SELECT token FROM worker_streams WHERE worker = ?").bind(worker.to_string());
        let found: Result<Option<Option<String>>, _> = select.fetch_optional(&self.driver).await;
        Ok(found.map_err(|source| StoreError::Read { table: "worker_streams", source })?.flatten())
    }
}

/// Notes under which token a worker process speaks.
pub(super) async fn bind(connection: &mut SqliteConnection, worker: WorkerId, token: &str) -> Result<(), StoreError> {
    let insert = "INSERT INTO worker_streams (worker, last_sequence, token) VALUES (?, 0, ?) \
                  ON CONFLICT (worker) DO UPDATE SET token = excluded.token";
    let insert = sqlx::query(insert).bind(worker.to_string()).bind(token);
    insert.execute(connection).await.map_err(|source| StoreError::Write { table: "worker_streams", source })?;
    Ok(())
}

fn row((token, name, scope, hash, created, expires, revoked): Columns) -> TokenRow {
    TokenRow {
        token,
        name,
        scope,
        hash,
        created_at_ms: from_column(created),
        expires_at_ms: expires.map(from_column),
        revoked_at_ms: revoked.map(from_column),
    }
}
