//! One transaction of the writer, over the session that holds the lock.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::OwnedMutexGuard;

use super::error::{cannot_begin, cannot_commit, cannot_read};
use super::open::PostgresStore;
use super::session::Session;
use crate::store::columns::{from_column, to_column};
use crate::store::{Cause, StoreError, Term};

/// How long a commit may take. The server of a session that is silent for longer is not there any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// The row of the term, locked until the transaction ends: whoever raises the term waits for that, and then reads what this
/// transaction wrote.
const LOCK_TERM: &str = "SELECT epoch FROM leader WHERE one = 1 FOR SHARE";

/// An open transaction. Dropped before its end, it takes the session with it, and so the term.
pub(super) struct Transaction {
    slot: OwnedMutexGuard<Option<Session>>,
    session: Session,
}

impl PostgresStore {
    /// Begins a transaction in a term, if that is the current one.
    pub(super) async fn begin(&self, term: Term) -> Result<Transaction, StoreError> {
        let mut slot = self.session.clone().lock_owned().await;
        // Whoever is cancelled from here on leaves no session behind.
        let Some(mut session) = slot.take().filter(|session| session.leads) else {
            return Err(self.why_over(term).await);
        };
        let begun = within(begin_and_lock(&mut session.connection)).await;
        match begun.and_then(|current| term.expect_current(current)) {
            Ok(()) => Ok(Transaction { slot, session }),
            Err(error @ StoreError::Deposed { .. }) => Err(error),
            // A session that was ended by a successor says only that it is gone.
            Err(error) => match self.why_over(term).await {
                deposed @ StoreError::Deposed { .. } => Err(deposed),
                _ => Err(error),
            },
        }
    }

    /// Why a term is over that has no session.
    pub(super) async fn why_over(&self, term: Term) -> StoreError {
        let current = sqlx::query_scalar::<_, i64>("SELECT epoch FROM leader WHERE one = 1").fetch_one(&self.reads);
        let current = within(async { current.await.map_err(cannot_read("leader")) }).await;
        match current.map(from_column) {
            Ok(current) if current != term.0 => StoreError::Deposed { term, current: Term(current) },
            _ => StoreError::TermOver { term },
        }
    }
}

impl Transaction {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session.connection
    }

    /// Commits what went well, and takes back what did not. Only after a refused statement is the session used again.
    pub(super) async fn end<T>(self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let Self { mut slot, mut session } = self;
        match outcome {
            Ok(value) => {
                within(run(&mut session.connection, "COMMIT")).await?;
                *slot = Some(session);
                Ok(value)
            }
            Err(error) if error.is_term_over() => Err(error),
            Err(error) => {
                if within(run(&mut session.connection, "ROLLBACK")).await.is_ok() {
                    *slot = Some(session);
                }
                Err(error)
            }
        }
    }

    /// Takes everything back.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        let Self { mut slot, mut session } = self;
        within(run(&mut session.connection, "ROLLBACK")).await?;
        *slot = Some(session);
        Ok(())
    }
}

async fn begin_and_lock(connection: &mut PgConnection) -> Result<u64, StoreError> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await.map_err(cannot_begin)?;
    let current = sqlx::query_scalar::<_, i64>(LOCK_TERM).fetch_one(connection).await;
    current.map(from_column).map_err(cannot_read("leader"))
}

async fn run(connection: &mut PgConnection, statement: &'static str) -> Result<(), StoreError> {
    sqlx::raw_sql(statement).execute(connection).await.map(drop).map_err(cannot_commit)
}

/// Whoever waits in vain drops the session with the call, so that a lock that was given to it is free again.
pub(super) async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = |_| StoreError::Commit(Cause::severed("the server does not answer"));
    tokio::time::timeout(PATIENCE, call).await.map_err(silent)?
}

/// Counts a sign of life.
pub(super) async fn beat(connection: &mut PgConnection, term: Term) -> Result<(), StoreError> {
    let update =
        sqlx::query("UPDATE leader SET beats = beats + 1 WHERE one = 1 AND epoch = $1").bind(to_column(term.0));
    update.execute(connection).await.map(drop).map_err(super::error::cannot_write("leader"))
}
