//! Copies a store into another one, whatever engines they have: table by table, compared row by row, and the log by its chain.
//!
//! The tables are the same everywhere, so here they are described once, as names and kinds of columns. How a page of them is
//! read and written is each engine's own affair.

use async_trait::async_trait;

use super::contract::Store;
use super::error::StoreError;
use super::log::{LogReader, LogRow};
use super::term::Term;
use super::{LogCheck, LogPosition};

/// Rows that are read and written together.
const PAGE: usize = 500;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
}

/// A table, with its key first: so many columns of it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(super) name: &'static str,
    pub(super) key: usize,
    pub(super) columns: &'static [(&'static str, Kind)],
}

impl Table {
    /// The names of the columns, as a statement lists them.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The names of the key's columns, likewise.
    pub(super) fn key_list(&self) -> String {
        self.columns[..self.key].iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

pub(crate) type Row = Vec<Value>;

/// The end of a log: the number of its last row, and that row's chain.
pub(crate) type End = (i64, Option<Vec<u8>>);

use Kind::{Bytes, Integer, Real, Text};

/// Every table but the end of the log, each after those it refers to.
const TABLES: [Table; 17] = [
    Table {
        name: "facts",
        key: 1,
        columns: &[("sequence", Integer), ("at_ms", Integer), ("fact", Text), ("chain", Bytes)],
    },
    Table {
        name: "snapshots",
        key: 1,
        columns: &[
            ("sequence", Integer),
            ("chain", Bytes),
            ("at_ms", Integer),
            ("version", Integer),
            ("ledger", Bytes),
            ("checksum", Bytes),
        ],
    },
    Table { name: "campaigns", key: 1, columns: &[("campaign", Text), ("name", Text), ("submitted_at_ms", Integer)] },
    Table { name: "recipes", key: 1, columns: &[("campaign", Text), ("file", Text), ("text", Text)] },
    Table {
        name: "stages",
        key: 1,
        columns: &[
            ("stage", Text),
            ("parent", Text),
            ("size", Text),
            ("seed", Integer),
            ("start_step", Integer),
            ("end_step", Integer),
        ],
    },
    Table { name: "campaign_stages", key: 2, columns: &[("campaign", Text), ("stage", Text)] },
    Table {
        name: "attempts",
        key: 2,
        columns: &[
            ("stage", Text),
            ("attempt", Integer),
            ("worker", Text),
            ("started_at_ms", Integer),
            ("ended_at_ms", Integer),
            ("outcome", Text),
        ],
    },
    Table {
        name: "results",
        key: 1,
        columns: &[("stage", Text), ("attempt", Integer), ("diverged_at_step", Integer), ("diverged_loss", Real)],
    },
    Table { name: "result_measurements", key: 2, columns: &[("stage", Text), ("name", Text), ("value", Real)] },
    Table { name: "result_rows", key: 2, columns: &[("stage", Text), ("name", Text), ("rows", Bytes)] },
    Table {
        name: "checkpoints",
        key: 2,
        columns: &[
            ("stage", Text),
            ("step", Integer),
            ("attempt", Integer),
            ("manifest_path", Text),
            ("manifest_hash", Text),
            ("bytes", Integer),
            ("committed_at_ms", Integer),
        ],
    },
    Table {
        name: "curve_points",
        key: 2,
        columns: &[
            ("stage", Text),
            ("step", Integer),
            ("attempt", Integer),
            ("loss", Real),
            ("grad_norm", Real),
            ("learning_rate", Real),
        ],
    },
    Table { name: "curve_series", key: 1, columns: &[("id", Integer), ("stage", Text), ("name", Text)] },
    Table { name: "curve_measurements", key: 2, columns: &[("series", Integer), ("step", Integer), ("value", Real)] },
    Table {
        name: "worker_streams",
        key: 1,
        columns: &[("worker", Text), ("last_sequence", Integer), ("token", Text), ("secret_hash", Text)],
    },
    Table {
        name: "pools",
        key: 1,
        columns: &[
            ("name", Text),
            ("kind", Text),
            ("mark", Text),
            ("mode", Text),
            ("reason", Text),
            ("settings", Text),
        ],
    },
    Table {
        name: "allocations",
        key: 1,
        columns: &[("allocation", Text), ("pool", Text), ("intended_at_ms", Integer), ("job", Integer)],
    },
];

/// Tables that are written beside the writer, and copied last.
const BESIDE: [Table; 2] = [
    Table {
        name: "tokens",
        key: 1,
        columns: &[
            ("token", Text),
            ("name", Text),
            ("scope", Text),
            ("hash", Text),
            ("created_at_ms", Integer),
            ("expires_at_ms", Integer),
            ("revoked_at_ms", Integer),
        ],
    },
    Table { name: "deletions", key: 1, columns: &[("folder", Text)] },
];

/// A store whose tables can be read and written as they are.
#[async_trait]
pub(crate) trait Portable: Store {
    /// Rows of a table by its key, after the one with this key.
    async fn page(&self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Whether it has the tables of this version.
    async fn has_tables(&self) -> Result<bool, StoreError>;

    /// Where the log was noted to end.
    async fn end(&self) -> Result<End, StoreError>;

    /// Begins to take in another store, in one transaction.
    async fn receive(&self, term: Term) -> Result<Box<dyn Receiver>, StoreError>;

    /// The store as everybody else has it.
    fn as_store(&self) -> &dyn Store;
}

/// The transaction in which a store is taken in.
#[async_trait]
pub(crate) trait Receiver: Send {
    async fn page(&mut self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError>;
    async fn insert(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError>;
    async fn set_end(&mut self, end: &End) -> Result<(), StoreError>;
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Why a store was not copied. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum CopyStoreError {
    #[error("cannot copy the store")]
    Store(#[from] StoreError),
    /// What was read back differs.
    #[error("the copy of the table `{table}` differs from what was copied: nothing of it is kept")]
    Differs { table: &'static str },
    /// It would be mixed with what is there.
    #[error("the target has data already (a row in `{table}`): copy into a new database or an empty directory")]
    NotEmpty { table: &'static str },
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedRows {
    /// Rows of the log.
    pub log: u64,
    /// Rows of all tables.
    pub rows: u64,
}

/// Copies everything into an empty store, or nothing. `progress` is told of each page: its table, and its rows so far.
pub(crate) async fn copy(
    from: &dyn Portable,
    to: &dyn Portable,
    progress: &mut (dyn FnMut(&'static str, u64) + Send),
) -> Result<CopiedRows, CopyStoreError> {
    let LogCheck { rows: log, .. } = from.as_store().check_log().await?;
    let term = to.as_store().begin_term().await?;
    let mut receiver = to.receive(term).await?;
    let mut rows = 0;
    for table in TABLES.iter().chain(&BESIDE) {
        if !receiver.page(table, None, 1).await?.is_empty() {
            return Err(CopyStoreError::NotEmpty { table: table.name });
        }
    }
    for table in TABLES.iter().chain(&BESIDE) {
        let (mut after, mut copied) = (None, 0);
        loop {
            let page = from.page(table, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last[..table.key].to_vec());
            receiver.insert(table, &page).await?;
            copied += page.len() as u64;
            progress(table.name, copied);
        }
        rows += copied;
    }
    let end = from.end().await?;
    receiver.set_end(&end).await?;
    compare(from, receiver.as_mut(), end).await?;
    receiver.commit().await?;
    Ok(CopiedRows { log, rows })
}

/// Reads everything back before it is committed.
async fn compare(from: &dyn Portable, to: &mut dyn Receiver, end: End) -> Result<(), CopyStoreError> {
    let mut reader = LogReader::after(LogPosition::default());
    for table in TABLES.iter().chain(&BESIDE) {
        let mut after = None;
        loop {
            let (page, copy) =
                (from.page(table, after.as_deref(), PAGE).await?, to.page(table, after.as_deref(), PAGE).await?);
            if page != copy {
                return Err(CopyStoreError::Differs { table: table.name });
            }
            let Some(last) = copy.last() else { break };
            after = Some(last[..table.key].to_vec());
            if table.name == "facts" {
                copy.iter().try_for_each(|row| follows(&mut reader, row))?;
            }
        }
    }
    Ok(reader.finish(Some(end))?)
}

/// Whether a row of the log follows from the one before it.
fn follows(reader: &mut LogReader, row: &Row) -> Result<(), CopyStoreError> {
    let [Value::Integer(sequence), Value::Integer(at_ms), Value::Text(fact), chain] = row.as_slice() else {
        return Err(CopyStoreError::Differs { table: "facts" });
    };
    let chain = match chain {
        Value::Bytes(chain) => Some(chain.as_slice()),
        _ => None,
    };
    reader.read(LogRow { sequence: *sequence, at_ms: *at_ms, fact, chain })?;
    Ok(())
}
