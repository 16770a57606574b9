//! What the columns of a row mean, whatever engine holds them.
//!
//! Statements are each engine's own. What comes out of them is the same everywhere: signed integers, texts, numbers and bytes.

use std::str::FromStr;

use scheduler::Fact;
use vocabulary::id::ParseIdError;
use vocabulary::{Attempt, AttemptKey, StageKey};

use super::error::{Cause, StoreError};
use super::pools::AllocationRow;
use super::rows::{AttemptRow, CampaignRow, CommittedCheckpoint, WholeAttempt};
use super::token::TokenRow;

/// An integer as a column holds it: signed. A value above `i64::MAX` becomes negative and comes back unchanged; only its
/// order among others is wrong. No step, size or time is that large, but a worker numbers its reports as it likes.
pub(super) fn to_column(value: u64) -> i64 {
    value.cast_signed()
}

/// The inverse of [`to_column`].
pub(super) fn from_column(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A measurement as a column holds it: NULL for NaN, which SQLite has not. All other numbers are kept to the bit, except that
/// SQLite loses the sign of a zero.
pub(super) fn measured_to_column(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

/// The inverse of [`measured_to_column`].
pub(super) fn measured_from_column(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// An error of a table whose rows say what cannot be.
pub(super) fn damaged(table: &'static str, problem: String) -> StoreError {
    StoreError::Read { table, source: Cause::new(problem, false) }
}

fn id<T: FromStr<Err = ParseIdError>>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|source| StoreError::Id { table, source })
}

fn attempt(table: &'static str, number: i64) -> Result<Attempt, StoreError> {
    let attempt = u32::try_from(number).map(Attempt);
    attempt.map_err(|_| damaged(table, format!("{number} is not the number of an attempt")))
}

/// `campaign, submitted_at_ms` of `campaigns`.
pub(super) fn campaign((campaign, at): (String, i64)) -> Result<CampaignRow, StoreError> {
    Ok(CampaignRow { campaign: id("campaigns", &campaign)?, submitted_at_ms: from_column(at) })
}

/// `step, attempt, manifest_path, manifest_hash, bytes` of `checkpoints`.
pub(super) type CheckpointColumns = (i64, i64, String, String, i64);

pub(super) fn checkpoint(stage: StageKey, columns: CheckpointColumns) -> Result<CommittedCheckpoint, StoreError> {
    let (step, number, manifest_path, manifest_hash, bytes) = columns;
    let (attempt, step, bytes) = (attempt("checkpoints", number)?, from_column(step), from_column(bytes));
    Ok(CommittedCheckpoint { stage, attempt, step, manifest_path, manifest_hash, bytes })
}

/// `stage`, the columns of a checkpoint, and `committed_at_ms`.
pub(super) type DatedCheckpointColumns = (String, i64, i64, String, String, i64, i64);

pub(super) fn dated_checkpoint(columns: DatedCheckpointColumns) -> Result<(CommittedCheckpoint, u64), StoreError> {
    let (stage, step, attempt, path, hash, bytes, at) = columns;
    Ok((checkpoint(id("checkpoints", &stage)?, (step, attempt, path, hash, bytes))?, from_column(at)))
}

/// The stage, the start and the end of the only attempt at a stage.
pub(super) fn whole_attempt((stage, started, ended): (String, i64, i64)) -> Result<WholeAttempt, StoreError> {
    let (started_at_ms, ended_at_ms) = (from_column(started), from_column(ended));
    Ok(WholeAttempt { stage: id("attempts", &stage)?, started_at_ms, ended_at_ms })
}

/// The stage, the number, the name of the worker, the start and the end of an attempt.
pub(super) type AttemptColumns = (String, i64, Option<String>, i64, Option<i64>);

pub(super) fn attempt_row((stage, number, name, started, ended): AttemptColumns) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        key: AttemptKey { stage: id("attempts", &stage)?, attempt: attempt("attempts", number)? },
        worker_name: name.unwrap_or_default(),
        started_at_ms: from_column(started),
        ended_at_ms: ended.map(from_column),
    })
}

/// `sequence, fact` of `facts`, outside the order of the log.
pub(super) fn fact((sequence, text): (i64, String)) -> Result<Fact, StoreError> {
    serde_json::from_str(&text).map_err(|source| StoreError::LogRow { sequence, source })
}

/// `token, name, scope, hash, created_at_ms, expires_at_ms, revoked_at_ms` of `tokens`.
pub(super) type TokenColumns = (String, String, String, String, i64, Option<i64>, Option<i64>);

pub(super) fn token((token, name, scope, hash, created, expires, revoked): TokenColumns) -> TokenRow {
    TokenRow {
        token,
        name,
        scope,
        hash,
        created_at_ms: from_column(created),
        expires_at_ms: expires.map(from_column),
        revoked_at_ms: revoked.map(from_column),
    }
}

/// `allocation, pool, intended_at_ms, job` of `allocations`.
pub(super) type AllocationColumns = (String, String, i64, Option<i64>);

pub(super) fn allocation((allocation, pool, at, job): AllocationColumns) -> AllocationRow {
    AllocationRow { allocation, pool, intended_at_ms: from_column(at), job: job.map(from_column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_columns() {
        for value in [0, 1, i64::MAX as u64, u64::MAX] {
            assert_eq!(from_column(to_column(value)), value);
        }
        for value in [0.0, f64::INFINITY, 3.127_617_359_161_377] {
            assert_eq!(measured_from_column(measured_to_column(value)).to_bits(), value.to_bits());
        }
        assert!(measured_from_column(measured_to_column(f64::NAN)).is_nan());
    }

    #[test]
    fn a_row_that_says_what_cannot_be_is_damage_of_its_table() {
        let stage = StageKey::from_content(b"a stage");
        let found =
            checkpoint(stage, (3, -1, String::new(), String::new(), 4)).expect_err("no attempt has this number");
        assert!(matches!(found, StoreError::Read { table: "checkpoints", .. }) && !found.may_pass(), "{found:?}");
        let found = whole_attempt(("stage_x".to_owned(), 1, 2)).expect_err("it is not a stage");
        assert!(matches!(found, StoreError::Id { table: "attempts", .. }), "{found:?}");
    }
}
