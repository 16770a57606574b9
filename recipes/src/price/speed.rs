//! How fast stages are trained, and how that is known.

use std::collections::BTreeMap;

use serde::Serialize;
use vocabulary::evaluation::FORWARD_SHARE;
use vocabulary::{Batch, Precision, Shape, Stage, StageSpec, Tokens};

use super::device::Device;
use super::tokens_of_work;

/// How fast a stage is trained, by the source of the figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Speed {
    /// Stated by the caller.
    Stated { tokens_per_second: f64 },
    /// Measured on stages of the same model, batch and number format, including their validations and checkpoints.
    Measured {
        tokens_per_second: f64,
        /// The number of stages measured.
        stages: u64,
    },
    /// Measured on stages of another size, and assumed to reach as many operations a second.
    MeasuredOnAnotherSize {
        /// Operations a second.
        flops_per_second: f64,
        /// N of the measured size.
        n: u64,
    },
    /// Assumed from a device's peak and a model FLOP/s utilisation.
    Assumed {
        device: &'static str,
        /// Peak operations a second.
        peak_flops_per_second: f64,
        /// The utilisation, from 0 to 1.
        mfu: f64,
    },
}

/// The measured time of finished stages of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// The model's dimensions.
    pub shape: Shape,
    /// Entries of its vocabulary.
    pub vocab: u32,
    /// What a step consumed.
    pub batch: Batch,
    /// The number format.
    pub precision: Precision,
    /// Stages that a single attempt trained from beginning to end.
    pub stages: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds from their start to their end, validation and checkpoints included.
    pub seconds: f64,
}

/// The sources of speeds, in order of precedence: what was stated, then the named device, then measurements. A named device
/// is assumed not to be the one that was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Speeds {
    /// Tokens a second for every size that is not in `stated_of`.
    pub stated: Option<f64>,
    /// Tokens a second by size.
    pub stated_of: BTreeMap<String, f64>,
    /// A device and its assumed utilisation.
    pub device: Option<(Device, f64)>,
    /// Measurements.
    pub measured: Vec<Measurement>,
}

impl Speed {
    /// Seconds that a stage takes.
    #[must_use]
    pub fn seconds(&self, spec: &StageSpec) -> f64 {
        let flops = tokens_of_work(spec) * flops_per_token(spec);
        match self {
            Self::Stated { tokens_per_second } => tokens_of_work(spec) / tokens_per_second,
            // Measured times include validations.
            Self::Measured { tokens_per_second, .. } => spec.tokens().0 as f64 / tokens_per_second,
            Self::MeasuredOnAnotherSize { flops_per_second, .. } => spec.flops().0 / flops_per_second,
            Self::Assumed { peak_flops_per_second, mfu, .. } => flops / (peak_flops_per_second * mfu),
        }
    }
}

impl Speed {
    /// Seconds that a forward pass over so many tokens takes with the model of a stage, in the stage's context.
    #[must_use]
    pub fn seconds_of_evaluation(&self, spec: &StageSpec, tokens: Tokens) -> f64 {
        let tokens = FORWARD_SHARE * tokens.0 as f64;
        match self {
            Self::Stated { tokens_per_second } | Self::Measured { tokens_per_second, .. } => tokens / tokens_per_second,
            Self::MeasuredOnAnotherSize { flops_per_second, .. } => tokens * flops_per_token(spec) / flops_per_second,
            Self::Assumed { peak_flops_per_second, mfu, .. } => {
                tokens * flops_per_token(spec) / (peak_flops_per_second * mfu)
            }
        }
    }
}

impl Measurement {
    /// An empty measurement of stages like this one.
    #[must_use]
    pub fn nothing_of(spec: &StageSpec) -> Self {
        let StageSpec { model, batch, precision, .. } = spec;
        Self {
            shape: model.shape,
            vocab: model.vocab,
            batch: *batch,
            precision: *precision,
            stages: 0,
            tokens: 0,
            seconds: 0.0,
        }
    }

    /// Adds a stage with its time to the measurement of its kind in a list.
    pub fn add_to(list: &mut Vec<Self>, spec: &StageSpec, seconds: f64) {
        let place = list.iter().position(|measured| measured.is_of(spec)).unwrap_or_else(|| {
            list.push(Self::nothing_of(spec));
            list.len() - 1
        });
        list[place].add(spec, seconds);
    }

    /// Adds a stage with its time.
    pub fn add(&mut self, spec: &StageSpec, seconds: f64) {
        self.stages += 1;
        self.tokens = self.tokens.saturating_add(spec.tokens().0);
        self.seconds += seconds;
    }

    /// Whether a stage is of the measured kind.
    #[must_use]
    pub fn is_of(&self, spec: &StageSpec) -> bool {
        let StageSpec { model, batch, precision, .. } = spec;
        (self.shape, self.vocab, self.batch, self.precision) == (model.shape, model.vocab, *batch, *precision)
    }

    /// Whether another measurement is of the same kind of stages.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let kind = |it: &Self| (it.shape, it.vocab, it.batch, it.precision);
        kind(self) == kind(other)
    }

    /// Tokens a second.
    pub(super) fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }

    fn flops_per_second(&self) -> f64 {
        self.shape.training_flops_per_token(self.vocab, self.batch.context).0 * self.rate()
    }
}

impl Speeds {
    /// How fast a stage is trained; `None` if there is no source.
    #[must_use]
    pub fn of(&self, stage: &Stage) -> Option<Speed> {
        let spec = &stage.spec;
        if let Some(&tokens_per_second) = self.stated_of.get(&stage.size).or(self.stated.as_ref()) {
            return Some(Speed::Stated { tokens_per_second });
        }
        if let Some((device, mfu)) = self.device {
            let peak_flops_per_second = device.peak(spec.precision);
            return Some(Speed::Assumed { device: device.title, peak_flops_per_second, mfu });
        }
        let usable = || self.measured.iter().filter(|measured| measured.tokens > 0 && measured.seconds > 0.0);
        if let Some(measured) = usable().find(|measured| measured.is_of(spec)) {
            return Some(Speed::Measured { tokens_per_second: measured.rate(), stages: measured.stages });
        }
        let n = |shape: &Shape| shape.non_embedding_params() as f64;
        let distance = |measured: &&Measurement| (n(&measured.shape) / n(&spec.model.shape)).ln().abs();
        let nearest = usable().filter(|measured| measured.precision == spec.precision);
        let nearest = nearest.min_by(|one, other| distance(one).total_cmp(&distance(other)))?;
        Some(Speed::MeasuredOnAnotherSize {
            flops_per_second: nearest.flops_per_second(),
            n: nearest.shape.non_embedding_params(),
        })
    }
}

fn flops_per_token(spec: &StageSpec) -> f64 {
    spec.model.shape.training_flops_per_token(spec.model.vocab, spec.batch.context).0
}
