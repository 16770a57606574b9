//! Learning-rate schedules, as the law needs them.

use std::ops::Range;

use super::error::ScheduleError;

/// The learning rate of every step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    rates: Vec<f64>,
    /// `sums[t]` is the sum of the first t rates.
    sums: Vec<f64>,
    warmup: usize,
}

/// Changes of the rate between two steps, taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// eta_{k-1} - eta_k, summed.
    pub(super) fall: f64,
    /// log eta_k at the centre.
    pub(super) log_rate: f64,
    /// Sum of all rates before step k, at the centre.
    pub(super) before: f64,
}

/// A schedule as seen at some steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Changes between the steps in a few bins per stretch, for everything before the latest stretch.
    pub(super) coarse: Vec<Change>,
    /// The same in narrow bins, for the latest stretch, where the law bends most.
    pub(super) fine: Vec<Change>,
    pub(super) steps: Vec<SeenStep>,
}

/// One requested step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenStep {
    /// S at the step.
    pub(super) sum: f64,
    /// Number of coarse changes before the stretch that ends here.
    pub(super) coarse: usize,
    /// Indices of the fine changes of that stretch.
    pub(super) fine: Range<usize>,
}

/// Bins between two requested steps, before and in the latest stretch.
const COARSE: usize = 2;
const FINE: usize = 12;
/// Floor of the learning rate, so that its logarithm is finite.
const LEAST_RATE: f64 = 1e-9;

impl Schedule {
    /// A schedule from the rate of each step, of which the first `warmup` are warm-up.
    ///
    /// # Errors
    /// Fails if a rate is negative or not finite, or none after the warm-up is positive.
    pub fn new(rates: Vec<f64>, warmup: usize) -> Result<Self, ScheduleError> {
        if let Some((step, &value)) = rates.iter().enumerate().find(|(_, rate)| !(rate.is_finite() && **rate >= 0.0)) {
            return Err(ScheduleError::BadRate { step, value });
        }
        if rates.iter().skip(warmup).all(|rate| *rate == 0.0) {
            return Err(ScheduleError::NothingAfterWarmup { steps: rates.len(), warmup });
        }
        let mut sums = Vec::with_capacity(rates.len() + 1);
        sums.push(0.0);
        sums.extend(rates.iter().scan(0.0, |sum, rate| {
            *sum += rate;
            Some(*sum)
        }));
        Ok(Self { rates, sums, warmup })
    }

    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.rates.len()
    }

    /// Number of warm-up steps.
    #[must_use]
    pub fn warmup(&self) -> usize {
        self.warmup
    }

    /// Learning rate of a step, counted from 0; zero beyond the last.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        self.rates.get(step).copied().unwrap_or_default()
    }

    /// Highest rate after warm-up.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.rates[self.warmup..].iter().copied().fold(0.0, f64::max)
    }

    /// Whether the rate changes, after warm-up, within the first `steps`.
    #[must_use]
    pub fn has_changed_by(&self, steps: usize) -> bool {
        self.rates[self.warmup..steps.clamp(self.warmup, self.steps())].windows(2).any(|pair| pair[0] != pair[1])
    }

    /// The schedule as seen at ascending steps; nothing changes beyond the last.
    pub(super) fn seen_at(&self, steps: &[usize]) -> Seen {
        let lowest = LEAST_RATE * self.peak();
        let mut seen = Seen { coarse: Vec::new(), fine: Vec::new(), steps: Vec::with_capacity(steps.len()) };
        let mut from = self.warmup + 1;
        for step in steps.iter().map(|step| (*step).min(self.steps())) {
            let (coarse, fine) = (seen.coarse.len(), seen.fine.len());
            seen.coarse.extend(self.changes(from, step, COARSE, lowest));
            seen.fine.extend(self.changes(from, step, FINE, lowest));
            seen.steps.push(SeenStep { sum: self.sums[step], coarse, fine: fine..seen.fine.len() });
            from = from.max(step);
        }
        seen
    }

    /// Changes at the steps `start..end`, in bins of equal width.
    fn changes(&self, start: usize, end: usize, bins: usize, lowest: f64) -> impl Iterator<Item = Change> {
        let span = end.saturating_sub(start);
        let bins = bins.min(span);
        (0..bins).filter_map(move |bin| {
            let [from, to] = [bin, bin + 1].map(|edge| start + span * edge / bins);
            self.change(from, to, lowest)
        })
    }

    /// Changes at the steps `start..end`; `None` if the rate is constant there.
    fn change(&self, start: usize, end: usize, lowest: f64) -> Option<Change> {
        let (mut fall, mut size, mut log_rate, mut before) = (0.0, 0.0, 0.0, 0.0);
        for k in start..end {
            let change = self.rates[k - 1] - self.rates[k];
            fall += change;
            size += change.abs();
            log_rate += change.abs() * self.rates[k].max(lowest).ln();
            before += change.abs() * self.sums[k];
        }
        (size > 0.0).then(|| Change { fall, log_rate: log_rate / size, before: before / size })
    }
}
