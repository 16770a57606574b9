//! The log: the facts, in the order they became true, each chained to the one before it.

use futures::TryStreamExt;
use scheduler::Fact;
use sqlx::SqliteConnection;

use super::error::StoreError;
use super::number::to_column;
use super::open::Store;

const TABLE: &str = "facts";

/// What a row says of all that is before it, and of itself.
pub(super) type Chain = [u8; 32];

/// A place in the log: after this many rows, the last of which has this chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// How many rows are before it.
    pub sequence: u64,
    /// The chain of the last of them; zeros at the beginning, and after a row from before there was a chain.
    pub(super) chain: Chain,
}

/// What [`Store::check_log`] found, where nothing is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCheck {
    /// Rows of the log.
    pub rows: u64,
    /// Those of them from before there was a chain: that they are facts is all that can be said.
    pub unchained: u64,
}

type Row = (i64, i64, String, Option<Vec<u8>>);

impl Store {
    /// The log, from its beginning.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged: a row is missing, or is no fact, or not the one that was written.
    pub async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        self.facts_after(LogPosition::default()).await
    }

    /// The log from a place on.
    ///
    /// # Errors
    /// As [`Self::facts`].
    pub async fn facts_after(&self, position: LogPosition) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        self.read_log(position, |_, fact| facts.push(fact)).await?;
        Ok(facts)
    }

    /// Reads all of the log and compares each row with what the one before it makes of it.
    ///
    /// # Errors
    /// The first row that is missing, or is no fact, or not the one that was written.
    pub async fn check_log(&self) -> Result<LogCheck, StoreError> {
        let mut check = LogCheck::default();
        self.read_log(LogPosition::default(), |is_chained, _| {
            check.rows += 1;
            check.unchained += u64::from(!is_chained);
        })
        .await?;
        Ok(check)
    }

    async fn read_log(&self, from: LogPosition, mut take: impl FnMut(bool, Fact)) -> Result<(), StoreError> {
        let read = |source| StoreError::Read { table: TABLE, source };
        let end = sqlx::query_scalar("SELECT sequence FROM log_end").fetch_optional(&self.driver).await;
        let end: Option<i64> = end.map_err(|source| StoreError::Read { table: "log_end", source })?;
        let select = "SELECT sequence, at_ms, fact, chain FROM facts WHERE sequence > ? ORDER BY sequence";
        let mut rows = sqlx::query_as::<_, Row>(select).bind(to_column(from.sequence)).fetch(&self.driver);
        let (mut last, mut chain) = (to_column(from.sequence), from.chain);
        while let Some((sequence, at_ms, text, stored)) = rows.try_next().await.map_err(read)? {
            if sequence != last + 1 {
                return Err(StoreError::LogGap { missing: last + 1, next: sequence });
            }
            let fact = serde_json::from_str(&text).map_err(|source| StoreError::LogRow { sequence, source })?;
            let is_chained = stored.is_some();
            match stored {
                Some(stored) => {
                    chain = link(&chain, sequence, at_ms, &text);
                    if stored != chain {
                        return Err(StoreError::LogChain { sequence });
                    }
                }
                // Rows from before there was a chain come before all others.
                None if chain != Chain::default() => return Err(StoreError::LogChain { sequence }),
                None => {}
            }
            last = sequence;
            take(is_chained, fact);
        }
        match end {
            Some(end) if last < end => Err(StoreError::LogCut { last, end }),
            _ => Ok(()),
        }
    }

    /// The chain of a row, where it is there and has one.
    pub(super) async fn chain_of(&self, sequence: u64) -> Result<Option<Chain>, StoreError> {
        let select = sqlx::query_scalar("SELECT chain FROM facts WHERE sequence = ?").bind(to_column(sequence));
        let found = select.fetch_optional(&self.driver).await;
        let found: Option<Option<Vec<u8>>> = found.map_err(|source| StoreError::Read { table: TABLE, source })?;
        Ok(found.flatten().and_then(|chain| chain.try_into().ok()))
    }
}

/// The chain of a row.
fn link(before: &Chain, sequence: i64, at_ms: i64, fact: &str) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(&sequence.to_le_bytes()).update(&at_ms.to_le_bytes()).update(fact.as_bytes());
    hasher.finalize().into()
}

/// Adds facts at the end of the log.
pub(super) struct Appender {
    sequence: i64,
    chain: Chain,
}

impl Appender {
    /// At the end of the log as it is in this transaction.
    pub(super) async fn at_the_end(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let select = "SELECT sequence, chain FROM log_end";
        let end = sqlx::query_as::<_, (i64, Option<Vec<u8>>)>(select).fetch_optional(connection).await;
        let end = end.map_err(|source| StoreError::Read { table: "log_end", source })?;
        let (sequence, chain) = end.unwrap_or_default();
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
        insert.execute(connection).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
        Ok(())
    }

    /// Notes where the log ends now.
    pub(super) async fn finish(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let upsert = "INSERT INTO log_end (only, sequence, chain) VALUES (1, ?, ?) \
                      ON CONFLICT (only) DO UPDATE SET sequence = excluded.sequence, chain = excluded.chain";
        let upsert = sqlx::query(upsert).bind(self.sequence).bind(self.chain.as_slice());
        upsert.execute(connection).await.map_err(|source| StoreError::Write { table: "log_end", source })?;
        Ok(())
    }
}
