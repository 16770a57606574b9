//! Time as an argument.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Milliseconds on the coordinator's monotonic clock. It means nothing outside the process that read it, so no fact
/// holds one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time from then until this; none where that is later.
    #[must_use]
    pub fn since(self, then: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(then.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// The time that much later, and the end of time where that would be beyond it.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}
