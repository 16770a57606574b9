//! The writer's session: one connection, which holds the lock and is never replaced by another.

use futures::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::error::{cannot_open, unfit};
use crate::store::StoreError;

/// The advisory lock of a database: whoever holds it leads. The letters `windtunl`.
pub(super) const LOCK: i64 = i64::from_be_bytes(*b"windtunl");

/// What a session asks of its server: to find out within half a minute that the other side is gone, so that the lock of a host
/// that died is free soon, and to answer a commit only once it is durable.
const SETTINGS: &str = "
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 20000;
    SET client_connection_check_interval = 2000;
    SET idle_in_transaction_session_timeout = 30000;
    SET statement_timeout = 60000;
    SET lock_timeout = 30000;
    SET synchronous_commit = on";

/// A connection that may lead.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// Whether it holds the lock.
    pub(super) leads: bool,
}

impl Session {
    /// Connects, and refuses a server on which the lock would not mean what it has to.
    pub(super) fn open(options: &PgConnectOptions) -> BoxFuture<'_, Result<Self, StoreError>> {
        Box::pin(Self::connect(options))
    }

    async fn connect(options: &PgConnectOptions) -> Result<Self, StoreError> {
        let mut connection = PgConnection::connect_with(options).await.map_err(cannot_open)?;
        refuse_pooler(options, &mut connection).await?;
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(cannot_open)?;
        let asked = "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('server_encoding')";
        let asked = sqlx::query_as::<_, (bool, String, String)>(asked).fetch_one(&mut connection).await;
        let (is_replica, fsync, encoding) = asked.map_err(cannot_open)?;
        if is_replica {
            return Err(unfit("it is a replica: give the address of the primary".to_owned()));
        }
        if fsync != "on" {
            return Err(unfit(
                "its setting `fsync` is off, so a loss of power would take what was committed".to_owned(),
            ));
        }
        if encoding != "UTF8" {
            return Err(unfit(format!("its encoding is {encoding}: create the database with ENCODING 'UTF8'")));
        }
        Ok(Self { connection, leads: false })
    }

    /// Takes the lock if it is free. Nothing else takes it, and this is never asked of a session that has it: taken twice, it
    /// would have to be released twice.
    pub(super) async fn take_lock(&mut self) -> Result<bool, StoreError> {
        if !self.leads {
            let taken = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK);
            self.leads = taken.fetch_one(&mut self.connection).await.map_err(cannot_open)?;
        }
        Ok(self.leads)
    }
}

/// Refuses what hands the statements of one connection to several sessions, as PgBouncer does in transaction mode: a lock of
/// the session would be somebody else's. Another connection, which keeps its session for a transaction, takes away what such a
/// pooler would give to this one next.
async fn refuse_pooler(options: &PgConnectOptions, connection: &mut PgConnection) -> Result<(), StoreError> {
    async fn process(connection: &mut PgConnection) -> Result<i32, StoreError> {
        sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false).fetch_one(connection).await.map_err(cannot_open)
    }
    let before = process(connection).await?;
    let mut other = PgConnection::connect_with(options).await.map_err(cannot_open)?;
    let mut beside = other.begin().await.map_err(cannot_open)?;
    let others = process(&mut beside).await?;
    let after = process(connection).await?;
    drop(beside);
    // A farewell; the server notices without it, too.
    let _ = other.close().await;
    if is_pooled(before, others, after) {
        return Err(unfit(
            "a pooler stands before it that shares sessions between connections, so a lock would not hold: give the \
             address of the server itself, or of PgBouncer with pool_mode = session"
                .to_owned(),
        ));
    }
    Ok(())
}

fn is_pooled(before: i32, others: i32, after: i32) -> bool {
    before != after || others == before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_ones_own_have_processes_of_their_own() {
        assert!(!is_pooled(1, 2, 1));
        assert!(is_pooled(1, 1, 1), "the other connection was given the same session");
        assert!(is_pooled(1, 1, 2), "and this one another, as the first was taken");
        assert!(is_pooled(1, 2, 3));
    }
}
