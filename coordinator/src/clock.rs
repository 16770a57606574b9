//! The time of day.

use std::time::SystemTime;

/// The wall clock, in milliseconds since 1970. No decision of the scheduler depends on it.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
