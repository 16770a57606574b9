//! What can go wrong with the store.

use sqlx::migrate::MigrateError;
use vocabulary::id::ParseIdError;

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened as a database.
    #[error("it is no database that can be opened")]
    Open(#[source] sqlx::Error),
    /// A later version of this program has used it.
    #[error("it was written by a newer version: its schema is number {found}, and this version knows {known} at most")]
    Newer {
        /// The schema of the file.
        found: i64,
        /// The latest one of this build.
        known: i64,
    },
    /// Its schema is not the one this build knows under that number.
    #[error("its schema {version} is not the one that this version knows under that number")]
    OtherSchema {
        /// The number.
        version: i64,
    },
    /// Its schema cannot be made the one of this build.
    #[error("its schema cannot be brought up to date")]
    Migrate(#[source] MigrateError),
    /// A row of the log is not there.
    #[error("the log is damaged: row {missing} of `facts` is missing, and row {next} comes next")]
    LogGap {
        /// The first one that is not there.
        missing: i64,
        /// The one that is there instead.
        next: i64,
    },
    /// A row of the log is not a fact.
    #[error("the log is damaged: row {sequence} of `facts` is no fact")]
    LogRow {
        /// Which row.
        sequence: i64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A row of the log is not the one that was written, or the one before it is not.
    #[error("the log is damaged: row {sequence} of `facts` does not follow from the row before it")]
    LogChain {
        /// Which row.
        sequence: i64,
    },
    /// The log ends too early.
    #[error("the log is damaged: it ends with row {last} of `facts`, and {end} were written")]
    LogCut {
        /// The last one that is there.
        last: i64,
        /// The last one that was written.
        end: i64,
    },
    /// An identifier in a table is none.
    #[error("the table `{table}` is damaged")]
    Id {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        #[source]
        source: ParseIdError,
    },
    /// A table cannot be read.
    #[error("cannot read the table `{table}`")]
    Read {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A table cannot be written. Nothing of the commit is kept.
    #[error("cannot write the table `{table}`")]
    Write {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A transaction cannot be begun.
    #[error("cannot begin a transaction")]
    Begin(#[source] sqlx::Error),
    /// A transaction cannot be made durable. Whether it is will be seen when the store is opened again.
    #[error("cannot commit a transaction")]
    Commit(#[source] sqlx::Error),
}

/// Primary result codes of SQLite for a file, or a table, that somebody else holds.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;

impl StoreError {
    /// Whether the same may succeed in a moment: somebody else held the database, or all connections were taken.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open(source)
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Begin(source)
            | Self::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
                is_taken(source)
            }
            // A commit that failed may be durable all the same: only a look at the file says.
            Self::Commit(_)
            | Self::Newer { .. }
            | Self::OtherSchema { .. }
            | Self::Migrate(_)
            | Self::LogGap { .. }
            | Self::LogRow { .. }
            | Self::LogChain { .. }
            | Self::LogCut { .. }
            | Self::Id { .. } => false,
        }
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            // The extended code: its low byte is the primary one.
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, SQLITE_BUSY | SQLITE_LOCKED))
        }
        _ => false,
    }
}
