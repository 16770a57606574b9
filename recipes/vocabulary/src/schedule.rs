//! Learning-rate schedules: pure functions of the step, never restored state.

use std::f64::consts::PI;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The shape of WSD's decay, f in section 4.2 of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "shape", deny_unknown_fields)]
pub enum DecayShape {
    /// Straight down to the floor: what the paper's training code calls warmup-stable-drop.
    Linear,
    /// By a constant factor each step, reaching the floor at the last one.
    Exponential,
    /// Halving every `half_life_steps`, as in the paper's production run; the floor is a lower bound.
    HalfLife {
        /// Steps in which the learning rate halves.
        half_life_steps: u64,
    },
    /// Half a cosine wave down to the floor.
    Cosine,
    /// 1 - sqrt(progress), down to the floor.
    OneMinusSqrt,
}

/// The learning rate over a training run, as a fraction of the peak.
///
/// Steps count from 0, and the update of step `s` uses the value at `s`. All variants warm up linearly: the last of
/// `warmup_steps` is the first at the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum LrSchedule {
    /// Constant at the peak, without end: the trunk of WSD.
    Constant {
        /// Steps of linear warm-up.
        warmup_steps: u64,
    },
    /// Warmup-Stable-Decay, WSD(T, D) in section 4.2 of the paper.
    Wsd {
        /// Steps of linear warm-up.
        warmup_steps: u64,
        /// The first step below the peak.
        decay_start: u64,
        /// Steps from the peak to the floor.
        decay_steps: u64,
        /// The shape of the decay.
        decay: DecayShape,
        /// The last value, as a fraction of the peak.
        floor: f64,
    },
    /// One cosine period from peak to floor, then the floor: Cosine(T), section 4.1.
    Cosine {
        /// Steps of linear warm-up.
        warmup_steps: u64,
        /// The step at which the floor is reached, T.
        period_steps: u64,
        /// The last value, as a fraction of the peak.
        floor: f64,
    },
    /// A cosine that rises again after T: CosineLoop(T), section 4.1.
    CosineLoop {
        /// Steps of linear warm-up.
        warmup_steps: u64,
        /// The step at which the floor is first reached, T.
        period_steps: u64,
        /// The lowest value, as a fraction of the peak.
        floor: f64,
    },
}

impl LrSchedule {
    /// Steps of linear warm-up.
    #[must_use]
    pub fn warmup_steps(&self) -> u64 {
        match *self {
            Self::Constant { warmup_steps }
            | Self::Wsd { warmup_steps, .. }
            | Self::Cosine { warmup_steps, .. }
            | Self::CosineLoop { warmup_steps, .. } => warmup_steps,
        }
    }

    /// The fraction of the peak learning rate at a step.
    #[must_use]
    pub fn factor(&self, step: u64) -> f64 {
        let done = (step + 1) as f64;
        if step < self.warmup_steps() {
            return done / self.warmup_steps() as f64;
        }
        match *self {
            Self::Constant { .. } => 1.0,
            Self::Wsd { decay_start, .. } if step < decay_start => 1.0,
            Self::Wsd { decay_start, decay_steps, decay, floor, .. } => {
                decay.factor(step + 1 - decay_start, decay_steps, floor)
            }
            Self::Cosine { warmup_steps, period_steps, floor } => {
                let progress = (done - warmup_steps as f64) / (period_steps - warmup_steps) as f64;
                half_cosine(progress.min(1.0), floor)
            }
            Self::CosineLoop { warmup_steps, period_steps, floor } => {
                half_cosine((done - warmup_steps as f64) / (period_steps - warmup_steps) as f64, floor)
            }
        }
    }

    /// The simplest schedule with the same values on these steps.
    ///
    /// It gives two stages that see the same learning rates the same key, whatever their trials do later.
    #[must_use]
    pub fn restricted_to(&self, steps: &Range<u64>) -> Self {
        match *self {
            Self::Wsd { warmup_steps, decay_start, .. } if steps.end <= decay_start => {
                Self::Constant { warmup_steps }.restricted_to(steps)
            }
            Self::Wsd { warmup_steps, decay_start, decay_steps, decay, floor } if steps.start >= warmup_steps => {
                Self::Wsd { warmup_steps: 0, decay_start, decay_steps, decay, floor }
            }
            Self::Constant { warmup_steps } if steps.start >= warmup_steps => Self::Constant { warmup_steps: 0 },
            other => other,
        }
    }
}

impl DecayShape {
    /// The shape of this name. `None` for `half_life`, whose name does not say how long.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Linear, Self::Exponential, Self::Cosine, Self::OneMinusSqrt].into_iter().find(|it| it.name() == name)
    }

    /// Its name in recipes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Exponential => "exponential",
            Self::HalfLife { .. } => "half_life",
            Self::Cosine => "cosine",
            Self::OneMinusSqrt => "one_minus_sqrt",
        }
    }

    /// The fraction of the peak after `done` of `total` steps of decay.
    fn factor(self, done: u64, total: u64, floor: f64) -> f64 {
        let progress = (done as f64 / total as f64).min(1.0);
        let above_floor = |fraction: f64| floor + (1.0 - floor) * fraction;
        match self {
            Self::Linear => above_floor(1.0 - progress),
            Self::Exponential => floor.powf(progress),
            Self::HalfLife { half_life_steps } => (0.5_f64).powf(done as f64 / half_life_steps as f64).max(floor),
            Self::Cosine => half_cosine(progress, floor),
            Self::OneMinusSqrt => above_floor(1.0 - progress.sqrt()),
        }
    }
}

/// From 1 at progress 0 to `floor` at progress 1, and up again past it. The paper prints another formula, which is
/// -0.8 at progress 1 and so a misprint; this is what its code computes.
fn half_cosine(progress: f64, floor: f64) -> f64 {
    floor + (1.0 - floor) * 0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [DecayShape; 5] = [
        DecayShape::Linear,
        DecayShape::Exponential,
        DecayShape::HalfLife { half_life_steps: 3 },
        DecayShape::Cosine,
        DecayShape::OneMinusSqrt,
    ];

    fn wsd(decay: DecayShape) -> LrSchedule {
        LrSchedule::Wsd { warmup_steps: 10, decay_start: 90, decay_steps: 10, decay, floor: 0.1 }
    }

    #[test]
    fn wsd_at_its_corners() {
        for decay in SHAPES {
            let lr = wsd(decay);
            assert_eq!(lr.factor(0), 0.1, "{decay:?}: warm-up starts above zero");
            assert_eq!(lr.factor(9), 1.0, "{decay:?}: the last step of warm-up is at the peak");
            assert_eq!(lr.factor(89), 1.0, "{decay:?}: stable up to the decay");
            assert!(lr.factor(90) < 1.0, "{decay:?}: the first step of the decay is below the peak");
            assert!((lr.factor(99) - 0.1).abs() < 1e-12, "{decay:?}: the last step is at the floor");
            for step in 90..99 {
                assert!(lr.factor(step + 1) < lr.factor(step) + 1e-15, "{decay:?} falls at {step}");
            }
        }
    }

    #[test]
    fn linear_decay_is_the_published_codes_drop() {
        let lr = wsd(DecayShape::Linear);
        for step in 90..100_u64 {
            let published = 0.1 + 0.9 * (100 - (step + 1)) as f64 / 10.0;
            assert!((lr.factor(step) - published).abs() < 1e-12);
        }
    }

    #[test]
    fn half_life_halves() {
        let lr = LrSchedule::Wsd {
            warmup_steps: 0,
            decay_start: 0,
            decay_steps: 100,
            decay: DecayShape::HalfLife { half_life_steps: 5 },
            floor: 0.0,
        };
        assert!((lr.factor(4) - 0.5).abs() < 1e-12);
        assert!((lr.factor(14) - 0.125).abs() < 1e-12);
    }

    #[test]
    fn cosine_stays_down_and_cosine_loop_comes_back() {
        let once = LrSchedule::Cosine { warmup_steps: 0, period_steps: 100, floor: 0.1 };
        let again = LrSchedule::CosineLoop { warmup_steps: 0, period_steps: 100, floor: 0.1 };
        assert!((once.factor(49) - 0.55).abs() < 1e-12);
        assert!((once.factor(99) - 0.1).abs() < 1e-12);
        assert!((once.factor(199) - 0.1).abs() < 1e-12);
        assert!((again.factor(199) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn restriction_keeps_every_value_and_forgets_the_rest() {
        for decay in SHAPES {
            let whole = wsd(decay);
            for steps in [0..40, 20..90, 90..100, 40..100] {
                let part = whole.restricted_to(&steps);
                for step in steps {
                    assert_eq!(part.factor(step), whole.factor(step));
                }
            }
            assert_eq!(whole.restricted_to(&(0..40)), LrSchedule::Constant { warmup_steps: 10 });
            assert_eq!(whole.restricted_to(&(40..90)), LrSchedule::Constant { warmup_steps: 0 });
        }
    }
}
