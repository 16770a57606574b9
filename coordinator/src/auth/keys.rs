//! Creates and revokes tokens: for whoever may write the data directory, whether a coordinator is running on it or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dial::Secret;

use super::token::{Scope, TokenId, fresh};
use crate::clock::unix_ms;
use crate::lock::{DataDirLock, LiveCoordinator, LockError, locate};
use crate::store::{self, Cause, Place, Store, StoreError, TokenRow};

/// Why the tokens of a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A coordinator on another machine has the store open.
    #[error("the coordinator of {} runs on {machine}: run this command there", .data_dir.display())]
    Elsewhere {
        /// The directory.
        data_dir: PathBuf,
        /// The machine's name.
        machine: String,
    },
}

/// The tokens of a data directory. A coordinator running on it sees each change at once.
#[derive(Debug)]
pub struct Tokens {
    store: Arc<dyn Store>,
}

impl Tokens {
    /// Opens the tokens of a data directory, which must exist.
    ///
    /// # Errors
    /// If the store cannot be opened, or a coordinator of an earlier version, or one on another machine, runs on it.
    pub async fn open(data_dir: &Path) -> Result<Self, TokensError> {
        // SQLite shares its write-ahead log through memory, which machines do not have in common.
        if Place::of(data_dir).map_err(StoreError::from)? == Place::File
            && let Some(LiveCoordinator { machine, .. }) = locate(data_dir).filter(|live| !live.is_here())
        {
            return Err(TokensError::Elsewhere { data_dir: data_dir.to_owned(), machine });
        }
        if let Some(store) = store::open_beside(data_dir).await? {
            return Ok(Self { store });
        }
        // A coordinator of an earlier version would stop at the next thing that it writes.
        let _lock = DataDirLock::take(data_dir).map_err(|error| match error {
            LockError::Held { .. } => StoreError::Earlier,
            error => StoreError::Open { what: "the data directory", source: Cause::new(error, false) },
        })?;
        Ok(Self { store: store::open_in(data_dir).await? })
    }

    /// The tokens in a store.
    pub(crate) fn of(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Creates a token. Its secret cannot be shown again.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn create(
        &self,
        name: &str,
        scope: Scope,
        lasts: Option<Duration>,
    ) -> Result<(TokenId, Secret), StoreError> {
        let (secret, kept) = fresh();
        let created_at_ms = unix_ms();
        let lasts = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        let row = TokenRow {
            token: kept.id.to_string(),
            name: name.to_owned(),
            scope: scope.to_string(),
            hash: kept.hash.to_hex().to_string(),
            created_at_ms,
            expires_at_ms: lasts.map(|lasts| created_at_ms.saturating_add(lasts)),
            revoked_at_ms: None,
        };
        self.store.add_token(&row).await?;
        Ok((kept.id, secret))
    }

    /// All tokens ever created, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn list(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.store.tokens().await
    }

    /// Revokes a token for good. Returns whether there was one to revoke.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn revoke(&self, token: &TokenId) -> Result<bool, StoreError> {
        self.store.revoke_token(token.as_str(), unix_ms()).await
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }
}
