//! The log: the facts, in the order they became true, each chained to the one before it.

use futures::TryStreamExt as _;
use scheduler::Fact;
use sqlx::PgConnection;

use super::error::{cannot_read, cannot_write};
use super::open::PostgresStore;
use crate::store::columns::to_column;
use crate::store::log::{LogReader, LogRow, link};
use crate::store::{Chain, LogCheck, LogPosition, StoreError, Term};

const TABLE: &str = "facts";

type Row = (i64, i64, String, Option<Vec<u8>>);

impl PostgresStore {
    pub(super) async fn read_facts(&self, position: LogPosition) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        self.read_log(position, |_, fact| facts.push(fact)).await?;
        Ok(facts)
    }

    pub(super) async fn read_whole_log(&self) -> Result<LogCheck, StoreError> {
        let mut check = LogCheck::default();
        self.read_log(LogPosition::default(), |is_chained, _| {
            check.rows += 1;
            check.unchained += u64::from(!is_chained);
        })
        .await?;
        Ok(check)
    }

    async fn read_log(&self, from: LogPosition, mut take: impl FnMut(bool, Fact)) -> Result<(), StoreError> {
        let end = sqlx::query_as::<_, (i64, Option<Vec<u8>>)>("SELECT sequence, chain FROM log_end WHERE one = 1");
        let end = end.fetch_optional(&self.reads).await.map_err(cannot_read("log_end"))?;
        let select = "SELECT sequence, at_ms, fact, chain FROM facts WHERE sequence > $1 ORDER BY sequence";
        let mut rows = sqlx::query_as::<_, Row>(select).bind(to_column(from.sequence)).fetch(&self.reads);
        let mut reader = LogReader::after(from);
        while let Some((sequence, at_ms, fact, chain)) = rows.try_next().await.map_err(cannot_read(TABLE))? {
            let row = LogRow { sequence, at_ms, fact: &fact, chain: chain.as_deref() };
            take(chain.is_some(), reader.read(row)?);
        }
        reader.finish(end)
    }

    /// The chain of a row, if the row exists and has one.
    pub(super) async fn chain_of(&self, sequence: u64) -> Result<Option<Chain>, StoreError> {
        let select = sqlx::query_scalar("SELECT chain FROM facts WHERE sequence = $1").bind(to_column(sequence));
        let found = select.fetch_optional(&self.reads).await;
        let found: Option<Option<Vec<u8>>> = found.map_err(cannot_read(TABLE))?;
        Ok(found.flatten().and_then(|chain| chain.try_into().ok()))
    }
}

/// Appends facts to the log.
pub(super) struct Appender {
    /// The end of the log before.
    began: (i64, Option<Vec<u8>>),
    sequence: i64,
    chain: Chain,
}

impl Appender {
    /// At the end of the log as it is in this transaction, which has checked the term.
    pub(super) async fn at_the_end(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let select = "SELECT sequence, chain FROM log_end WHERE one = 1";
        let end = sqlx::query_as::<_, (i64, Option<Vec<u8>>)>(select).fetch_one(connection).await;
        let (sequence, stored) = end.map_err(cannot_read("log_end"))?;
        let chain = stored.as_deref().and_then(|chain| chain.try_into().ok()).unwrap_or_default();
        Ok(Self { began: (sequence, stored), sequence, chain })
    }

    pub(super) async fn append(
        &mut self,
        connection: &mut PgConnection,
        term: Term,
        at_ms: u64,
        fact: &Fact,
    ) -> Result<(), StoreError> {
        let fact = serde_json::to_string(fact).expect("a fact always has a JSON form");
        let at_ms = to_column(at_ms);
        self.sequence += 1;
        self.chain = link(&self.chain, self.sequence, at_ms, &fact);
        let insert = sqlx::query("INSERT INTO facts (sequence, at_ms, fact, chain, epoch) VALUES ($1, $2, $3, $4, $5)");
        let insert =
            insert.bind(self.sequence).bind(at_ms).bind(fact).bind(self.chain.as_slice()).bind(to_column(term.0));
        insert.execute(connection).await.map_err(cannot_write(TABLE))?;
        Ok(())
    }

    /// Records where the log ends now, if it ended where this transaction found it and the term is still the current one. The
    /// row of the term is locked already; this holds where a pooler or a promoted replica made two sessions of one.
    pub(super) async fn finish(self, connection: &mut PgConnection, term: Term) -> Result<(), StoreError> {
        let update = "UPDATE log_end SET sequence = $1, chain = $2 \
                      WHERE one = 1 AND sequence = $3 AND chain IS NOT DISTINCT FROM $4 \
                      AND (SELECT epoch FROM leader WHERE one = 1 FOR UPDATE) = $5";
        let update = sqlx::query(update).bind(self.sequence).bind(self.chain.as_slice());
        let update = update.bind(self.began.0).bind(self.began.1).bind(to_column(term.0));
        let updated = update.execute(connection).await.map_err(cannot_write("log_end"))?;
        if updated.rows_affected() == 1 { Ok(()) } else { Err(StoreError::TermOver { term }) }
    }
}
