//! How often to take a checkpoint: minimises the cost of checkpoints plus the work repeated after a loss.

use std::time::Duration;

/// Bounds and estimates from the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The shortest time between two checkpoints.
    pub min_interval: Duration,
    /// The longest time between two checkpoints.
    pub max_interval: Duration,
    /// Mean training time of an attempt until its worker is lost or preempted.
    pub mean_time_between_losses: Duration,
}

impl Default for Cadence {
    /// For a coordinator that sends none.
    fn default() -> Self {
        Self {
            min_interval: Duration::from_secs(10),
            max_interval: Duration::from_secs(600),
            mean_time_between_losses: Duration::from_secs(24 * 3600),
        }
    }
}

impl Cadence {
    /// Training time between two checkpoints that cost this much each, within the bounds: sqrt(2 C M), the first-order
    /// optimum of Young (1974), which Daly (2006) refines for costs close to M; the bounds cover those. While the cost
    /// is unknown, a checkpoint is taken soon to measure it.
    #[must_use]
    pub fn interval(&self, cost: Option<Duration>) -> Duration {
        let longest = self.max_interval.max(self.min_interval);
        let Some(cost) = cost else { return self.min_interval };
        let optimum = (2.0 * cost.as_secs_f64() * self.mean_time_between_losses.as_secs_f64()).sqrt();
        Duration::try_from_secs_f64(optimum).unwrap_or(longest).clamp(self.min_interval, longest)
    }
}

/// Measures the cost of checkpoints: the time training stands still, plus the slowdown of steps while a checkpoint is
/// on its way to the storage. Both are measured on the training thread, so neither is counted twice.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Mean seconds of recent steps without a checkpoint on its way; recent, because steps may change.
    usual_step: Option<f64>,
    /// Total cost of all checkpoints so far, in seconds.
    cost: f64,
    checkpoints: u32,
}

/// Weight of the latest step in the mean of recent ones.
const LATEST: f64 = 0.1;

impl Meter {
    /// Records a step.
    pub(crate) fn step(&mut self, took: Duration, storing: bool) {
        let took = took.as_secs_f64();
        match self.usual_step {
            // Slower steps are a cost; faster ones are chance, and balance chance in the other direction.
            Some(usual) if storing => self.cost += took - usual,
            None if storing => {}
            Some(usual) => self.usual_step = Some(usual + LATEST * (took - usual)),
            None => self.usual_step = Some(took),
        }
    }

    /// Records a checkpoint, for which training stood still this long.
    pub(crate) fn checkpoint(&mut self, stood_still: Duration) {
        self.cost += stood_still.as_secs_f64();
        self.checkpoints += 1;
    }

    /// Mean cost of a checkpoint; `None` before the first.
    pub(crate) fn cost(&self) -> Option<Duration> {
        let mean = self.cost / f64::from(self.checkpoints);
        // A speed-up during a checkpoint is noise, and costs nothing.
        (self.checkpoints > 0).then(|| Duration::try_from_secs_f64(mean).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_interval_is_the_square_root_of_twice_cost_times_time_within_its_bounds() {
        let cadence = Cadence { mean_time_between_losses: seconds(3600.0), ..Cadence::default() };
        assert_eq!(cadence.interval(Some(seconds(2.0))), seconds(120.0));
        assert_eq!(cadence.interval(Some(seconds(0.001))), cadence.min_interval);
        assert_eq!(cadence.interval(Some(seconds(1e9))), cadence.max_interval);
        assert_eq!(cadence.interval(Some(Duration::MAX)), cadence.max_interval);
        assert_eq!(cadence.interval(None), cadence.min_interval, "soon, to find out what it costs");
        let inverted = Cadence { min_interval: seconds(60.0), max_interval: seconds(5.0), ..cadence };
        assert_eq!(inverted.interval(Some(seconds(2.0))), seconds(60.0));
    }

    #[test]
    fn what_costs_more_is_done_less_often_and_what_is_lost_more_often_more_often() {
        let cadence = |losses| Cadence { mean_time_between_losses: seconds(losses), ..Cadence::default() };
        let mut last = Duration::ZERO;
        for cost in [0.01, 0.1, 1.0, 10.0, 100.0] {
            let interval = cadence(7200.0).interval(Some(seconds(cost)));
            assert!(interval >= last);
            assert!(cadence(600.0).interval(Some(seconds(cost))) <= interval);
            last = interval;
        }
    }

    #[test]
    fn the_cost_is_the_standstill_and_what_steps_take_longer() {
        let mut meter = Meter::default();
        assert_eq!(meter.cost(), None);
        for _ in 0..50 {
            meter.step(seconds(1.0), false);
        }
        meter.checkpoint(seconds(0.5));
        for _ in 0..4 {
            meter.step(seconds(1.25), true);
        }
        assert_eq!(meter.cost(), Some(seconds(1.5)));
        meter.step(seconds(1.0), false);
        meter.checkpoint(seconds(0.5));
        assert_eq!(meter.cost(), Some(seconds(1.0)), "over all of them");
        for _ in 0..9 {
            meter.step(seconds(0.5), true);
        }
        assert_eq!(meter.cost(), Some(Duration::ZERO), "a cost is not below nothing");
    }
}
