//! What sqlx says, as the store's errors say it.

use sqlx::migrate::MigrateError;

use crate::store::{Cause, StoreError};

/// Primary result codes of SQLite for a file, or a table, that somebody else holds, and for a full disk. After each of them it
/// has rolled back what was not committed.
const PASSING: [i32; 3] = [SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL];
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_FULL: i32 = 13;

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        let is_retryable = is_passing(&error);
        Self::new(error, is_retryable)
    }
}

impl From<MigrateError> for Cause {
    fn from(error: MigrateError) -> Self {
        let is_retryable = match &error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => is_passing(source),
            _ => false,
        };
        Self::new(error, is_retryable)
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            // The extended code: its low byte is the primary one.
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| PASSING.contains(&(code & 0xff)))
        }
        _ => false,
    }
}

pub(super) fn cannot_read(table: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::Read { table, source: error.into() }
}

pub(super) fn cannot_write(table: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::Write { table, source: error.into() }
}

pub(super) fn cannot_begin(error: sqlx::Error) -> StoreError {
    StoreError::Begin(error.into())
}

pub(super) fn cannot_commit(error: sqlx::Error) -> StoreError {
    StoreError::Commit(error.into())
}

pub(super) fn cannot_open(error: sqlx::Error) -> StoreError {
    StoreError::Open { what: "the file as a SQLite database", source: error.into() }
}
