//! Estimated time to completion.

use std::time::Duration;

/// Estimates the remaining time from the tokens done since the first observation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Eta {
    first: Option<(Duration, u64)>,
    latest: (Duration, u64),
}

impl Eta {
    /// Records `done` tokens at `elapsed` since a fixed moment.
    pub(crate) fn observe(&mut self, elapsed: Duration, done: u64) {
        self.first.get_or_insert((elapsed, done));
        self.latest = (elapsed, done);
    }

    /// Tokens per second, once measurable.
    pub(crate) fn rate(&self) -> Option<f64> {
        let (since, first) = self.first?;
        let (now, done) = self.latest;
        let seconds = now.saturating_sub(since).as_secs_f64();
        (seconds >= 1.0 && done > first).then(|| (done - first) as f64 / seconds)
    }

    /// Time until `total` tokens are done.
    pub(crate) fn left(&self, total: u64) -> Option<Duration> {
        let left = total.saturating_sub(self.latest.1) as f64 / self.rate()?;
        Duration::try_from_secs_f64(left).ok()
    }
}

/// A readable duration: `45s`, `2m 05s`, `3h 20m`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_does_not_count_as_speed() {
        let mut eta = Eta::default();
        assert_eq!(eta.left(100), None);
        eta.observe(Duration::from_secs(5), 1_000);
        assert_eq!(eta.left(2_000), None);
        eta.observe(Duration::from_secs(15), 1_100);
        assert_eq!(eta.rate(), Some(10.0));
        assert_eq!(eta.left(2_000), Some(Duration::from_secs(90)));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([9, 125, 12_000].map(|seconds| clock(Duration::from_secs(seconds))), ["9s", "2m 05s", "3h 20m"]);
    }
}
