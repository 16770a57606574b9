//! Every metric that this build measures: name, unit, and what people call it.

use std::fmt::Display;

use super::name::MeasurementName;

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The lower value.
    LowerIsBetter,
    /// The metric describes and does not rank.
    Neither,
}

/// What measurements of one kind mean, for whoever shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name of its measurements. A part's name adds a slash and the part.
    pub name: &'static str,
    /// The unit; empty for a pure number.
    pub unit: &'static str,
    /// What people call it, as in the title of a figure.
    pub words: &'static str,
    /// Which of two values is better.
    pub direction: Direction,
}

/// Mean loss on held-out tokens, in nats per token. If the data has several domains, it is the mean over their held-out sets,
/// each counting once, and parts 0, 1, ... are the losses on the sets in the dataset's order.
pub const VALIDATION_LOSS: Metric = Metric {
    name: "validation_loss",
    unit: "nats a token",
    words: "loss on held-out text",
    direction: Direction::LowerIsBetter,
};

/// The same in nats per byte, which compares across tokenizers, and across sets that a tokenizer suits more or less well.
pub const VALIDATION_LOSS_PER_BYTE: Metric =
    Metric { name: "validation_loss_per_byte", unit: "nats a byte", ..VALIDATION_LOSS };

/// Largest absolute element of the gradient before clipping.
pub const LARGEST_GRADIENT: Metric = described("largest_gradient", "largest element of the gradient");

/// Inner product of a step's gradient and that of the step before.
pub const GRADIENT_PRODUCT: Metric = described("gradient_product", "inner product of consecutive gradients");

/// Cosine of the angle between the two.
pub const GRADIENT_COSINE: Metric = described("gradient_cosine", "cosine of gradients");

/// D1 in [`crate::dynamics`]: slope of the loss along the last update.
pub const D1: Metric = described("d1", "D1");

/// D2 in [`crate::dynamics`]: how fast that slope changes.
pub const D2: Metric = described("d2", "D2");

/// Largest absolute change of a single weight in a step. There is a part for each kind of parameter that the model has, named
/// by [`crate::ParamKind::name`], and no value for the whole.
pub const LARGEST_UPDATE: Metric = described("largest_update", "largest update");

/// The losses on held-out text. A stage has diverged if one of them is not finite.
pub const HELD_OUT_LOSSES: [Metric; 2] = [VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE];

/// Every metric.
pub const ALL: [Metric; 8] = [
    VALIDATION_LOSS,
    VALIDATION_LOSS_PER_BYTE,
    LARGEST_GRADIENT,
    GRADIENT_PRODUCT,
    GRADIENT_COSINE,
    D1,
    D2,
    LARGEST_UPDATE,
];

const fn described(name: &'static str, words: &'static str) -> Metric {
    Metric { name, unit: "", words, direction: Direction::Neither }
}

impl Metric {
    /// The metric of a measurement; `None` if this build does not know it.
    #[must_use]
    pub fn of(name: &MeasurementName) -> Option<Self> {
        ALL.into_iter().find(|metric| metric.is_of(name))
    }

    /// Whether a name is that of this metric or of one of its parts.
    #[must_use]
    pub fn is_of(&self, name: &MeasurementName) -> bool {
        self.name == name.metric()
    }

    /// The name of a part.
    ///
    /// # Panics
    /// If the part cannot be in a name. Parts come from this program, never from its input.
    #[must_use]
    pub fn part(&self, part: impl Display) -> MeasurementName {
        format!("{}/{part}", self.name).parse().expect("parts are plain words and numbers")
    }
}

impl AsRef<str> for Metric {
    fn as_ref(&self) -> &str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamKind;

    #[test]
    fn every_metric_has_a_name_of_its_own_that_can_be_read_back() {
        for (index, metric) in ALL.into_iter().enumerate() {
            let name: MeasurementName = metric.name.parse().expect("a name");
            assert_eq!((Metric::of(&name), name.part()), (Some(metric), None));
            assert_eq!(Metric::of(&metric.part(index)), Some(metric));
            assert_eq!(name, MeasurementName::from(metric));
        }
        assert_eq!(Metric::of(&"accuracy".parse().expect("a name")), None);
    }

    #[test]
    fn every_kind_of_parameter_is_a_part() {
        for kind in ParamKind::ALL {
            assert_eq!(LARGEST_UPDATE.part(kind.name()).part(), Some(kind.name()));
        }
    }
}
