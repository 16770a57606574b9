//! For display: errors on one line, and the time of day.

use std::error::Error;
use std::time::SystemTime;

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |error| (*error).source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The wall clock, in milliseconds since 1970. No decision of the scheduler depends on it.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
