//! Time as an argument.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Milliseconds on the coordinator's monotonic clock. They are meaningless outside the process, so no fact contains
/// one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time from `then` until this; zero if `then` is later.
    #[must_use]
    pub fn since(self, then: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(then.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// This much later, saturating at the end of time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}
