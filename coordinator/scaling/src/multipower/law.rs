//! The multi-power law and its parameters.

use serde::{Deserialize, Serialize};

use super::schedule::{Change, Schedule, Seen, SeenStep};

/// The multi-power law. A, B and C carry the units of the schedules' learning rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MultiPowerLaw {
    /// The loss that remains for any sum of learning rates, in nats.
    #[serde(rename = "L0")]
    pub l0: f64,
    /// Coefficient of the sum of learning rates.
    #[serde(rename = "A")]
    pub a: f64,
    /// Exponent of the sum.
    pub alpha: f64,
    /// Effect of changing the learning rate.
    pub decay: DecayTerm,
}

/// The term that only a change of the learning rate shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecayTerm {
    /// Nats that each unit of learning rate gives in the end.
    #[serde(rename = "B")]
    pub b: f64,
    /// How soon the effect sets in.
    #[serde(rename = "C")]
    pub c: f64,
    /// Exponent with which the remaining effect vanishes.
    pub beta: f64,
    /// How much sooner the effect sets in at a lower learning rate.
    pub gamma: f64,
}

/// Which parameters of the decay term are fitted. L0, A and alpha always are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Shape {
    /// All four: for curves of several schedules.
    Free,
    /// B and C, with given exponents: for a few decays of one form, which do not tell C, beta and gamma apart.
    Exponents {
        /// The exponent beta.
        beta: f64,
        /// The exponent gamma.
        gamma: f64,
    },
    /// None: for curves whose learning rate never changes.
    Given {
        /// From another fit.
        decay: DecayTerm,
    },
}

impl Shape {
    /// The exponents published for models of 25M, 100M and 400M parameters agree to 0.02; these are their means.
    pub const PUBLISHED: Self = Self::Exponents { beta: 0.591, gamma: 0.644 };

    /// Number of fitted parameters, including L0, A and alpha.
    #[must_use]
    pub fn parameters(self) -> usize {
        match self {
            Self::Free => 7,
            Self::Exponents { .. } => 5,
            Self::Given { .. } => 3,
        }
    }
}

impl MultiPowerLaw {
    /// The loss after each of the given steps, which must be in ascending order. Nothing changes beyond the schedule's
    /// last step.
    #[must_use]
    pub fn predict(&self, schedule: &Schedule, steps: &[usize]) -> Vec<f64> {
        self.predict_seen(&schedule.seen_at(steps))
    }

    /// The loss at the end of a schedule.
    #[must_use]
    pub fn predict_end(&self, schedule: &Schedule) -> f64 {
        // Bins end at each requested step: with many of them, each bin is narrow.
        let steps: [usize; 64] = std::array::from_fn(|part| (schedule.steps() * (part + 1)).div_ceil(64));
        let mut seen = schedule.seen_at(&steps);
        seen.steps.drain(..63);
        self.predict_seen(&seen)[0]
    }

    pub(super) fn predict_seen(&self, seen: &Seen) -> Vec<f64> {
        let quick = seen.quickened(self.decay.gamma);
        seen.steps
            .iter()
            .map(|step| {
                let drop: f64 = quick
                    .before(step)
                    .map(|(change, rate)| {
                        let x = self.decay.c * rate * (step.sum - change.before);
                        change.fall * (1.0 - (-self.decay.beta * x.ln_1p()).exp())
                    })
                    .sum();
                self.l0 + self.a * step.sum.powf(-self.alpha) - self.decay.b * drop
            })
            .collect()
    }
}

/// Changes, each with its eta^-gamma.
pub(super) struct Quickened {
    coarse: Vec<(Change, f64)>,
    fine: Vec<(Change, f64)>,
}

impl Seen {
    pub(super) fn quickened(&self, gamma: f64) -> Quickened {
        let with = |changes: &[Change]| {
            changes.iter().map(|change| (*change, (-gamma * change.log_rate).exp())).collect::<Vec<_>>()
        };
        Quickened { coarse: with(&self.coarse), fine: with(&self.fine) }
    }

    /// S at each step.
    pub(super) fn sums(&self) -> impl Iterator<Item = f64> + '_ {
        self.steps.iter().map(|step| step.sum)
    }
}

impl Quickened {
    /// All changes before a step.
    pub(super) fn before(&self, step: &SeenStep) -> impl Iterator<Item = &(Change, f64)> {
        self.coarse[..step.coarse].iter().chain(&self.fine[step.fine.clone()])
    }
}
