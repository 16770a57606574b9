//! The log: the facts, in the order they became true, each chained to the one before it.

use futures::TryStreamExt;
use scheduler::Fact;
use sqlx::SqliteConnection;

use super::error::{cannot_read, cannot_write};
use super::open::SqliteStore;
use crate::store::columns::{from_column, to_column};
use crate::store::log::{LogReader, LogRow, link};
use crate::store::{Chain, LogCheck, LogPosition, StoreError, Term};

const TABLE: &str = "facts";

type Row = (i64, i64, String, Option<Vec<u8>>);

impl SqliteStore {
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
        let end = sqlx::query_as::<_, (i64, Option<Vec<u8>>)>("SELECT sequence, chain FROM log_end");
        let end = end.fetch_optional(&self.driver).await.map_err(cannot_read("log_end"))?;
        let select = "SELECT sequence, at_ms, fact, chain FROM facts WHERE sequence > ? ORDER BY sequence";
        let mut rows = sqlx::query_as::<_, Row>(select).bind(to_column(from.sequence)).fetch(&self.driver);
        let mut reader = LogReader::after(from);
        while let Some((sequence, at_ms, fact, chain)) = rows.try_next().await.map_err(cannot_read(TABLE))? {
            let row = LogRow { sequence, at_ms, fact: &fact, chain: chain.as_deref() };
            take(chain.is_some(), reader.read(row)?);
        }
        reader.finish(end)
    }

    /// The chain of a row, if the row exists and has one.
    pub(super) async fn chain_of(&self, sequence: u64) -> Result<Option<Chain>, StoreError> {
        let select = sqlx::query_scalar("SELECT chain FROM facts WHERE sequence = ?").bind(to_column(sequence));
        let found = select.fetch_optional(&self.driver).await;
        let found: Option<Option<Vec<u8>>> = found.map_err(cannot_read(TABLE))?;
        Ok(found.flatten().and_then(|chain| chain.try_into().ok()))
    }
}

/// Appends facts to the log.
pub(super) struct Appender {
    sequence: i64,
    chain: Chain,
}

impl Appender {
    /// At the end of the log as it is in this transaction, if the term is the current one.
    pub(super) async fn at_the_end(connection: &mut SqliteConnection, term: Term) -> Result<Self, StoreError> {
        let select = "SELECT sequence, chain, term FROM log_end";
        let end = sqlx::query_as::<_, (i64, Option<Vec<u8>>, i64)>(select).fetch_optional(connection).await;
        let (sequence, chain, current) = end.map_err(cannot_read("log_end"))?.unwrap_or_default();
        term.expect_current(from_column(current))?;
        Ok(Self { sequence, chain: chain.and_then(|chain| chain.try_into().ok()).unwrap_or_default() })
    }

    pub(super) async fn append(
        &mut self,
        connection: &mut SqliteConnection,
        at_ms: u64,
        fact: &Fact,
    ) -> Result<(), StoreError> {
        let fact = serde_json::to_string(fact).expect("a fact always has a JSON form");
        let at_ms = to_column(at_ms);
        self.sequence += 1;
        self.chain = link(&self.chain, self.sequence, at_ms, &fact);
        let insert = sqlx::query("INSERT INTO facts (sequence, at_ms, fact, chain) VALUES (?, ?, ?, ?)");
        let insert = insert.bind(self.sequence).bind(at_ms).bind(fact).bind(self.chain.as_slice());
        insert.execute(connection).await.map_err(cannot_write(TABLE))?;
        Ok(())
    }

    /// Records where the log ends now.
    pub(super) async fn finish(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let update = "UPDATE log_end SET sequence = ?, chain = ?";
        let update = sqlx::query(update).bind(self.sequence).bind(self.chain.as_slice());
        update.execute(connection).await.map_err(cannot_write("log_end"))?;
        Ok(())
    }
}
