//! Whether the training thread still gets anywhere: what it is doing, and how long that may take.
//!
//! The thread says when it begins something. Whoever watches adds up the time in which it said nothing, as far as the watcher
//! itself was running: a process that was stopped, or whose machine was suspended, has not been silent.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A step may take this many times as long as the slowest before it.
const TIMES_THE_SLOWEST: u32 = 20;

/// How long the training thread may be busy with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StallLimits {
    /// For a step, if 20 times the slowest one of the attempt takes less.
    pub step: Duration,
}

impl Default for StallLimits {
    fn default() -> Self {
        Self { step: Duration::from_secs(10 * 60) }
    }
}

impl StallLimits {
    /// How long this may take, where the slowest step so far took `slowest` and measuring takes as long as so many steps;
    /// `None` for what lasts as long as it lasts.
    fn of(self, phase: Phase, slowest: Duration, steps: u32) -> Option<Duration> {
        let by_steps = |steps: u32| slowest.saturating_mul(TIMES_THE_SLOWEST).saturating_mul(steps);
        match phase {
            Phase::Idle | Phase::Reporting => None,
            Phase::Step => Some(self.step.max(by_steps(1))),
            Phase::Checkpoint => Some(self.step.saturating_mul(3).max(by_steps(1))),
            // Weights are read, kernels compiled and tuned.
            Phase::Loading | Phase::FirstStep => Some(self.step.saturating_mul(6)),
            Phase::Validation => Some(self.step.saturating_mul(6).max(by_steps(steps))),
            // Nothing is known of its speed.
            Phase::Evaluation => Some(self.step.saturating_mul(36)),
        }
    }
}

/// What the training thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has nothing to do.
    Idle,
    /// It waits for room for a report, as while the coordinator is away.
    Reporting,
    Loading,
    FirstStep,
    Step,
    Checkpoint,
    Validation,
    Evaluation,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Reporting => "reporting",
            Self::Loading => "loading",
            Self::FirstStep => "no first step",
            Self::Step => "no step",
            Self::Checkpoint => "checkpoint",
            Self::Validation => "validation",
            Self::Evaluation => "evaluation",
        })
    }
}

/// What the training thread is busy with, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// What it began last.
    pub phase: Phase,
    /// The time since.
    pub lasts: Duration,
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, lasts } = self;
        let seconds = lasts.as_secs();
        if seconds < 120 { write!(f, "{phase} for {seconds} s") } else { write!(f, "{phase} for {} min", seconds / 60) }
    }
}

/// Where the training thread says what it does.
#[derive(Debug)]
pub struct Pulse {
    limits: StallLimits,
    beat: Mutex<Beat>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    number: u64,
    phase: Phase,
    allowed: Option<Duration>,
}

impl Pulse {
    /// Of a thread that has nothing to do yet.
    #[must_use]
    pub fn new(limits: StallLimits) -> Self {
        Self { limits, beat: Mutex::new(Beat { number: 0, phase: Phase::Idle, allowed: None }) }
    }

    /// The thread begins this. The slowest step of the attempt took `slowest`; a validation takes as long as so many steps.
    pub(crate) fn begin(&self, phase: Phase, slowest: Duration, steps: u32) {
        let mut beat = self.lock();
        let allowed = self.limits.of(phase, slowest, steps);
        *beat = Beat { number: beat.number.wrapping_add(1), phase, allowed };
    }

    /// The thread reports, and then continues with what it was doing.
    pub(crate) fn while_reporting<R>(&self, report: impl FnOnce() -> R) -> R {
        let Beat { phase, allowed, .. } = *self.lock();
        self.set(Phase::Reporting, None);
        let result = report();
        self.set(phase, allowed);
        result
    }

    fn set(&self, phase: Phase, allowed: Option<Duration>) {
        let mut beat = self.lock();
        *beat = Beat { number: beat.number.wrapping_add(1), phase, allowed };
    }

    fn lock(&self) -> MutexGuard<'_, Beat> {
        // A thread that panicked in between left it as sound as it was.
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches a [`Pulse`].
#[derive(Debug)]
pub(crate) struct Watch {
    /// The longest time between two looks that counts.
    interval: Duration,
    looked: Instant,
    number: u64,
    quiet: Duration,
}

impl Watch {
    pub(crate) fn new(now: Instant, interval: Duration) -> Self {
        Self { interval, looked: now, number: 0, quiet: Duration::ZERO }
    }

    /// What the thread is busy with, if that has to end some time, and whether it should have ended.
    pub(crate) fn look(&mut self, now: Instant, pulse: &Pulse) -> Option<(Quiet, bool)> {
        let beat = *pulse.lock();
        let passed = now.duration_since(self.looked).min(2 * self.interval);
        self.looked = now;
        if beat.number == self.number {
            self.quiet += passed;
        } else {
            (self.number, self.quiet) = (beat.number, Duration::ZERO);
        }
        let allowed = beat.allowed?;
        Some((Quiet { phase: beat.phase, lasts: self.quiet }, self.quiet > allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_step_may_take_twenty_times_the_slowest_and_at_least_the_floor() {
        let limits = StallLimits::default();
        let of = |phase, slowest| limits.of(phase, slowest, 3);
        assert_eq!(of(Phase::Step, SECOND), Some(10 * MINUTE));
        assert_eq!(of(Phase::Step, 2 * MINUTE), Some(40 * MINUTE));
        assert_eq!(of(Phase::FirstStep, Duration::ZERO), Some(60 * MINUTE));
        assert_eq!(of(Phase::Validation, 2 * MINUTE), Some(120 * MINUTE));
        assert_eq!((of(Phase::Idle, SECOND), of(Phase::Reporting, SECOND)), (None, None));
        assert_eq!(of(Phase::Step, Duration::MAX), Some(Duration::MAX));
    }

    #[test]
    fn silence_is_what_the_watcher_was_there_for() {
        let pulse = Pulse::new(StallLimits { step: 10 * SECOND });
        let began = Instant::now();
        let mut watch = Watch::new(began, SECOND);
        let at = |seconds: u32| began + seconds * SECOND;
        assert_eq!(watch.look(at(1), &pulse), None, "it has nothing to do");
        pulse.begin(Phase::Step, SECOND, 0);
        assert_eq!(watch.look(at(2), &pulse), Some((Quiet { phase: Phase::Step, lasts: Duration::ZERO }, false)));
        for seconds in 3..=21 {
            assert!(watch.look(at(seconds), &pulse).is_some_and(|(_, stalled)| !stalled), "at {seconds}");
        }
        // The process was stopped for an hour: two intervals count.
        assert_eq!(watch.look(at(3700), &pulse), Some((Quiet { phase: Phase::Step, lasts: 21 * SECOND }, true)));
        pulse.begin(Phase::Step, SECOND, 0);
        assert!(watch.look(at(3701), &pulse).is_some_and(|(quiet, stalled)| !stalled && quiet.lasts.is_zero()));
    }

    #[test]
    fn a_thread_that_waits_to_report_is_not_stalled_and_then_goes_on() {
        let pulse = Pulse::new(StallLimits { step: SECOND });
        let mut watch = Watch::new(Instant::now(), SECOND);
        pulse.begin(Phase::Step, Duration::ZERO, 0);
        pulse.while_reporting(|| assert_eq!(watch.look(Instant::now(), &pulse), None));
        assert!(watch.look(Instant::now(), &pulse).is_some_and(|(quiet, _)| quiet.phase == Phase::Step));
    }

    #[test]
    fn silence_is_told_as_people_say_it() {
        let quiet = |phase, seconds| Quiet { phase, lasts: seconds * SECOND }.to_string();
        assert_eq!(quiet(Phase::Step, 725), "no step for 12 min");
        assert_eq!(quiet(Phase::FirstStep, 30), "no first step for 30 s");
        assert_eq!(quiet(Phase::Validation, 725), "validation for 12 min");
    }
}
