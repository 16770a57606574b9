//! The log: the facts, in the order they became true.

use scheduler::Fact;
use sqlx::SqliteConnection;

use super::error::StoreError;
use super::number::to_column;
use super::open::Store;

const TABLE: &str = "facts";

impl Store {
    /// The log, from its beginning.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged: a row is missing, or is no fact.
    pub async fn facts(&self) -> Result<Vec<Fact>, StoreError> {
        let select = sqlx::query_as::<_, (i64, String)>("SELECT sequence, fact FROM facts ORDER BY sequence");
        let rows = select.fetch_all(&self.driver).await.map_err(|source| StoreError::Read { table: TABLE, source })?;
        let fact = |(expected, (sequence, fact)): (i64, (i64, String))| {
            if sequence != expected {
                return Err(StoreError::LogGap { missing: expected, next: sequence });
            }
            serde_json::from_str(&fact).map_err(|source| StoreError::LogRow { sequence, source })
        };
        (1..).zip(rows).map(fact).collect()
    }
}

/// Adds a fact at the end of the log.
pub(super) async fn append(connection: &mut SqliteConnection, at_ms: u64, fact: &Fact) -> Result<(), StoreError> {
    let fact = serde_json::to_string(fact).expect("a fact always has a JSON form");
    let insert = sqlx::query("INSERT INTO facts (at_ms, fact) VALUES (?, ?)").bind(to_column(at_ms)).bind(fact);
    insert.execute(connection).await.map_err(|source| StoreError::Write { table: TABLE, source })?;
    Ok(())
}
