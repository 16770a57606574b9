//! The step loop: the only place that trains one step after another.
//!
//! Whoever trains a stage, a worker's runner, standalone training or a replay, calls [`Steps::next`] until it is
//! [`Event::Finished`]. The loop decides what happens; its caller decides what to do about it.

use vocabulary::StageSpec;

use super::{StepReport, Training, TrainingError};

/// A stage in training, step by step.
pub(crate) struct Steps<'a, I> {
    training: &'a mut dyn Training,
    spec: &'a StageSpec,
    /// The step it began with.
    first: u64,
    interruption: I,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event<R> {
    /// A step was done.
    Step(StepReport),
    /// A step was done, and its loss ends the stage: it is not finite, or above the limit of the spec. Another call
    /// trains the next step all the same.
    Diverged(StepReport),
    /// The caller asked to stop, for this reason, before the step that comes next.
    Interrupted(R),
    /// No step is left.
    Finished,
}

impl<'a, R, I: FnMut() -> Option<R>> Steps<'a, I> {
    /// The steps that are left of a stage. `interruption` is asked before each of them.
    pub(crate) fn new(training: &'a mut dyn Training, spec: &'a StageSpec, interruption: I) -> Self {
        let first = training.step();
        Self { training, spec, first, interruption }
    }

    /// Trains the next step, if there is one and nobody objects.
    pub(crate) fn next(&mut self) -> Result<Event<R>, TrainingError> {
        if self.training.is_finished() {
            return Ok(Event::Finished);
        }
        if let Some(reason) = (self.interruption)() {
            return Ok(Event::Interrupted(reason));
        }
        let report = self.training.next_step()?;
        let diverged = self.spec.diverges_with(report.loss);
        Ok(if diverged { Event::Diverged(report) } else { Event::Step(report) })
    }

    /// Whether a step was done.
    pub(crate) fn has_advanced(&self) -> bool {
        self.training.step() > self.first
    }

    /// The stage, between two steps.
    pub(crate) fn training(&mut self) -> &mut dyn Training {
        self.training
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{Measured, Measurements};

    use super::*;
    use crate::training::PendingBlobs;

    /// Its loss is its step, counted from one.
    struct Counted {
        step: u64,
        end: u64,
    }

    impl Training for Counted {
        fn step(&self) -> u64 {
            self.step
        }

        fn is_finished(&self) -> bool {
            self.step >= self.end
        }

        fn next_step(&mut self) -> Result<StepReport, TrainingError> {
            self.step += 1;
            Ok(report(self.step - 1))
        }

        fn validate(&mut self) -> Result<Measured, TrainingError> {
            Err("is not asked to".into())
        }

        fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
            Err("is not asked to".into())
        }
    }

    fn report(step: u64) -> StepReport {
        let loss = (step + 1) as f64;
        StepReport { step, loss, grad_norm: 1.0, learning_rate: 0.01, tokens: 1, measurements: Measurements::new() }
    }

    #[test]
    fn a_loss_above_the_limit_is_told_from_other_steps_and_is_not_the_end_of_the_loop() {
        let spec = StageSpec { loss_limit: Some(1.5), ..vocabulary::sample::stage() };
        let mut training = Counted { step: 0, end: 2 };
        let mut steps = Steps::new(&mut training, &spec, || None::<()>);
        let events: Vec<_> = (0..4).map(|_| steps.next().expect("trains")).collect();
        assert_eq!(events, [Event::Step(report(0)), Event::Diverged(report(1)), Event::Finished, Event::Finished]);
    }

    #[test]
    fn an_interruption_comes_before_a_step_and_never_after_the_last() {
        let spec = vocabulary::sample::stage();
        let mut training = Counted { step: 3, end: 4 };
        let mut asked = 0;
        let mut steps = Steps::new(&mut training, &spec, || {
            asked += 1;
            (asked == 1).then_some("enough")
        });
        assert_eq!(steps.next().expect("trains"), Event::Interrupted("enough"));
        assert!(!steps.has_advanced());
        assert_eq!(steps.next().expect("trains"), Event::Step(report(3)));
        assert!(steps.has_advanced());
        assert_eq!(steps.next().expect("trains"), Event::Finished);
        assert_eq!(asked, 2);
    }
}
