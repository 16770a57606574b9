//! How long a campaign that has begun still takes.

use serde::Serialize;
use vocabulary::{Plan, StageKey, StageSpec};

use super::speed::{Measurement, Speeds};
use super::wall::wall;

/// How far a stage or an evaluation has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of it is left: it is done, or will not be.
    Over,
    /// Steps done, counted from the root; at most its first step where nothing is. Unused for an evaluation.
    At { step: u64 },
}

/// How long a campaign still takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Left {
    pub seconds: f64,
    /// Whether it takes longer than this: something of unknown length is not counted.
    pub at_least: bool,
}

/// What stages and evaluations were measured to take: of the campaign in question, and of others on the same coordinator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Of the campaign itself.
    pub own: Vec<Measurement>,
    /// Of others. They may have run on other devices, so that they count only as compared with the campaign's own: if it is
    /// twice as fast where both were measured, it is taken to be twice as fast everywhere.
    pub others: Vec<Measurement>,
}

impl Measured {
    /// The speeds that follow: the campaign's own, and those of others in proportion.
    #[must_use]
    pub fn speeds(&self) -> Speeds {
        let usable = |measured: &&Measurement| measured.tokens > 0 && measured.seconds > 0.0;
        let own: Vec<&Measurement> = self.own.iter().filter(usable).collect();
        let counterpart = |other: &Measurement| own.iter().find(|own| own.is_like(other));
        let others = || self.others.iter().filter(usable);
        let ratios = others().filter_map(|other| Some((counterpart(other)?.rate() / other.rate()).ln()));
        let ratios: Vec<f64> = ratios.collect();
        let mut measured: Vec<Measurement> = own.iter().map(|own| (*own).clone()).collect();
        if !ratios.is_empty() {
            let ratio = (ratios.iter().sum::<f64>() / ratios.len() as f64).exp();
            let unknown = others().filter(|other| counterpart(other).is_none());
            measured.extend(unknown.map(|other| Measurement { seconds: other.seconds / ratio, ..other.clone() }));
        }
        Speeds { measured, ..Speeds::default() }
    }
}

/// How long a plan still takes on so many workers: what is left of each stage at its speed, by list scheduling of the tree. `None`
/// without workers, and where the speed of a stage that is left is not known. Evaluations of unknown speed and trials that a
/// search has not suggested yet are not counted, and the result says so.
#[must_use]
pub fn left(plan: &Plan, standing: impl Fn(&StageKey) -> Standing, speeds: &Speeds, workers: usize) -> Option<Left> {
    if workers == 0 {
        return None;
    }
    let stages = plan.stages_by_key();
    let mut at_least = plan.trials.len() < plan.trials_in_the_end();
    let mut seconds = Vec::with_capacity(plan.stages.len() + plan.evaluations.len());
    for stage in &plan.stages {
        seconds.push(match standing(&stage.key) {
            Standing::Over => 0.0,
            Standing::At { step } => speeds.of(stage)?.seconds(&stage.spec) * share_left(&stage.spec, step),
        });
    }
    for evaluation in &plan.evaluations {
        let speed = || {
            let stage = stages.get(&evaluation.parent)?;
            Some(speeds.of(stage)?.seconds_of_evaluation(&stage.spec, evaluation.spec.tokens()))
        };
        seconds.push(match standing(&evaluation.key) {
            Standing::Over => 0.0,
            Standing::At { .. } => speed().unwrap_or_else(|| {
                at_least = true;
                0.0
            }),
        });
    }
    let schedule = wall(plan, &seconds, Some(workers)).schedule?;
    Some(Left { seconds: schedule.seconds, at_least })
}

/// The part of a stage that is left after a step.
fn share_left(spec: &StageSpec, step: u64) -> f64 {
    let step = step.clamp(spec.steps.start, spec.steps.end);
    let steps = spec.steps.end - spec.steps.start;
    if steps == 0 { 0.0 } else { (spec.steps.end - step) as f64 / steps as f64 }
}
