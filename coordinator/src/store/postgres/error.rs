//! What sqlx says, as the store's errors say it.

use sqlx::migrate::MigrateError;

use crate::store::{Cause, StoreError};

/// Classes of errors that are about what a statement said: data that does not fit, and constraints. The session is sound after
/// them. After every other error nobody can say what became of it.
const REFUSALS: [&str; 2] = ["22", "23"];

fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| REFUSALS.iter().any(|class| code.starts_with(class)))
}

pub(super) fn cause(error: sqlx::Error) -> Cause {
    match error {
        // A row that cannot be decoded says nothing of the session.
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Cause::new(error, false),
        error if is_refusal(&error) => Cause::new(error, false),
        error => Cause::severed(error),
    }
}

pub(super) fn cannot_migrate(error: MigrateError) -> StoreError {
    StoreError::Migrate(match error {
        MigrateError::Execute(error) => Cause::severed(error),
        error => Cause::new(error, false),
    })
}

pub(super) fn cannot_read(table: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::Read { table, source: cause(error) }
}

pub(super) fn cannot_write(table: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::Write { table, source: cause(error) }
}

pub(super) fn cannot_begin(error: sqlx::Error) -> StoreError {
    StoreError::Begin(cause(error))
}

/// Whatever went wrong, nobody knows whether the commit was made.
pub(super) fn cannot_commit(error: sqlx::Error) -> StoreError {
    StoreError::Commit(Cause::severed(error))
}

pub(super) fn cannot_open(error: sqlx::Error) -> StoreError {
    StoreError::Open { what: "the PostgreSQL database", source: Cause::severed(error) }
}

/// A server that is there and must not be used as it is.
pub(super) fn unfit(why: String) -> StoreError {
    StoreError::Open { what: "the PostgreSQL database", source: Cause::new(why, false) }
}
