//! Who leads: the lock, the term and its signs of life.

use std::time::Duration;

use sqlx::PgConnection;

use super::error::{cannot_open, cannot_read, cannot_write};
use super::open::{PostgresStore, Presence};
use super::schema;
use super::session::{LOCK, Session};
use super::transaction::{beat, within};
use crate::store::columns::{from_column, to_column};
use crate::store::{Leader, StoreError, Term, Turn};

const TABLE: &str = "leader";

/// Between two tries to take the lock of a session that was ended.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const TRIES: u32 = 200;

/// The sessions that hold the lock of this database, which whoever has the same role may end.
const END_HOLDERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks \
                           WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid() \
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                           AND classid::bigint = $1 AND objid::bigint = $2";

impl PostgresStore {
    /// Takes the lock if nobody has it. Whoever is told who leads may ask again over the same session.
    pub(super) async fn try_lead(&self) -> Result<Turn, StoreError> {
        within(self.try_to_lead()).await
    }

    async fn try_to_lead(&self) -> Result<Turn, StoreError> {
        let mut slot = self.session.clone().lock_owned().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => Session::open(&self.options).await?,
        };
        let turn = match session.take_lock().await? {
            true => Turn::Taken,
            false => Turn::Held(read_leader(&mut session.connection).await?),
        };
        *slot = Some(session);
        Ok(turn)
    }

    /// The order counts: the lock, then the term, and only then the schema and everything that is read.
    pub(super) async fn raise_term(&self) -> Result<Term, StoreError> {
        let mut slot = self.session.clone().lock_owned().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => Session::open(&self.options).await?,
        };
        let mut tries = 0;
        while !session.take_lock().await? {
            if tries == TRIES {
                return Err(super::error::unfit("another coordinator keeps its lock".to_owned()));
            }
            end_holders(&mut session.connection).await?;
            tokio::time::sleep(BETWEEN_TRIES).await;
            tries += 1;
        }
        schema::make_leader(&mut session.connection).await?;
        let Presence { name, lease } = &self.presence;
        let update = "UPDATE leader SET epoch = epoch + 1, name = $1, since = now(), beats = 0, lease_ms = $2 \
                      WHERE one = 1 RETURNING epoch";
        let update = sqlx::query_scalar::<_, i64>(update).bind(name).bind(to_column(lease.as_millis() as u64));
        let term = update.fetch_one(&mut session.connection).await.map_err(cannot_write(TABLE))?;
        schema::bring_up_to_date(&mut session.connection).await?;
        *slot = Some(session);
        Ok(Term(from_column(term)))
    }

    /// Ends the session of whoever leads.
    pub(super) async fn depose(&self) -> Result<(), StoreError> {
        within(self.end_session_of_leader()).await
    }

    async fn end_session_of_leader(&self) -> Result<(), StoreError> {
        let mut slot = self.session.clone().lock_owned().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => Session::open(&self.options).await?,
        };
        end_holders(&mut session.connection).await?;
        *slot = Some(session);
        Ok(())
    }

    /// Gives signs of life until one of them cannot be given.
    pub(super) async fn keep_alive(&self, term: Term) -> StoreError {
        loop {
            tokio::time::sleep(self.presence.lease / 6).await;
            let mut transaction = match self.begin(term).await {
                Ok(transaction) => transaction,
                Err(error) => return error,
            };
            let beaten = beat(transaction.connection(), term).await;
            if let Err(error) = transaction.end(beaten).await {
                return error;
            }
        }
    }
}

async fn end_holders(connection: &mut PgConnection) -> Result<(), StoreError> {
    let [high, low] = [LOCK >> 32, LOCK & 0xffff_ffff];
    let ended = sqlx::query(END_HOLDERS).bind(high).bind(low).execute(connection).await;
    ended.map(drop).map_err(cannot_open)
}

/// What the leader says of itself; `None` while the first one makes its tables.
async fn read_leader(connection: &mut PgConnection) -> Result<Option<Leader>, StoreError> {
    if !schema::has_table(connection, TABLE).await? {
        return Ok(None);
    }
    let select = "SELECT epoch, name, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), beats, lease_ms \
                  FROM leader WHERE one = 1";
    let row = sqlx::query_as::<_, (i64, String, String, i64, i64)>(select).fetch_optional(connection).await;
    let leader = |(epoch, name, since, beats, lease_ms)| Leader {
        term: Term(from_column(epoch)),
        name,
        since,
        beats: from_column(beats),
        lease: Duration::from_millis(from_column(lease_ms)),
    };
    Ok(row.map_err(cannot_read(TABLE))?.map(leader))
}
