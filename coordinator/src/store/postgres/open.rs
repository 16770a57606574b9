//! Connects to the database and leaves it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgPool};
use tokio::sync::Mutex;

use super::error::{cannot_open, unfit};
use super::schema;
use super::session::Session;
use crate::store::{Postgres, StoreError, Turn};

/// Concurrent reads of the driver, and on behalf of people.
const DRIVER_READS: u32 = 2;
const PEOPLE: u32 = 4;

/// How long a read waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Readers change nothing, unless a transaction says that it does: tokens are written beside the leader.
const READS_ONLY: &str = "SET default_transaction_read_only = on; SET tcp_user_timeout = 20000; \
                          SET idle_in_transaction_session_timeout = 30000";

/// How a coordinator shows to others of the same store.
#[derive(Debug, Clone)]
pub struct Presence {
    /// For people: where it listens, and which process it is.
    pub name: String,
    /// It gives six signs of life in this time. Without one for three times as long, its session is ended.
    pub lease: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self { name: format!("process {}", std::process::id()), lease: Duration::from_secs(30) }
    }
}

/// A store in a PostgreSQL database. See the [module's page](super).
#[derive(Debug)]
pub struct PostgresStore {
    pub(super) options: PgConnectOptions,
    pub(super) presence: Presence,
    /// The writer's session, while it has one. Taken out for as long as it is used, so that whoever is cancelled meanwhile
    /// leaves none behind.
    pub(super) session: Arc<Mutex<Option<Session>>>,
    /// For the driver, which never waits for people.
    pub(super) reads: PgPool,
    /// For everybody else.
    pub(super) people: PgPool,
}

impl PostgresStore {
    /// A store that has yet to connect.
    ///
    /// # Errors
    /// If the address, or what the environment adds to it, cannot be used.
    pub fn new(address: &Postgres, presence: Presence) -> Result<Self, StoreError> {
        let mut options: PgConnectOptions =
            address.url().parse().map_err(|error: sqlx::Error| unfit(error.to_string()))?;
        if let Some(password) = address.password() {
            options = options.password(password);
        }
        options = options.application_name("windtunnel");
        let pool = |most| {
            let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(PATIENCE);
            let pool = pool
                .after_connect(|connection, _| Box::pin(async move { connection.execute(READS_ONLY).await.map(drop) }));
            pool.connect_lazy_with(options.clone())
        };
        let (reads, people) = (pool(DRIVER_READS), pool(PEOPLE));
        Ok(Self { options, presence, session: Arc::default(), reads, people })
    }

    /// A store with the schema of this version, which is brought up to date unless somebody leads.
    ///
    /// # Errors
    /// If it cannot be reached, if its leader is of an earlier version, or if a newer version has written it.
    pub(in crate::store) async fn with_schema(address: &Postgres) -> Result<Self, StoreError> {
        let store = Self::new(address, Presence::default())?;
        if !store.has_schema().await? {
            store.make_schema().await?;
        }
        Ok(store)
    }

    /// Whether the database has every migration of this version. One that has more is refused.
    pub(in crate::store) async fn has_schema(&self) -> Result<bool, StoreError> {
        let mut connection = self.people.acquire().await.map_err(cannot_open)?;
        schema::has_every_migration(&mut connection).await
    }

    async fn make_schema(&self) -> Result<(), StoreError> {
        if let Turn::Held(_) = self.try_lead().await? {
            return Err(StoreError::Earlier);
        }
        let mut slot = self.session.clone().lock_owned().await;
        let Some(mut session) = slot.take() else { return Err(StoreError::Earlier) };
        schema::make_leader(&mut session.connection).await?;
        schema::bring_up_to_date(&mut session.connection).await?;
        // The lock goes with the session.
        session.connection.close().await.map_err(cannot_open)
    }

    pub(super) async fn disconnect(&self) {
        let leave = async {
            if let Some(Session { connection, .. }) = self.session.lock().await.take() {
                let _ = connection.close().await;
            }
            self.people.close().await;
            self.reads.close().await;
        };
        // A server notices without a farewell, too, and one that is gone answers none.
        let _ = tokio::time::timeout(PATIENCE, leave).await;
    }
}
