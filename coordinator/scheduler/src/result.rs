//! The result of a completed stage, and its form in the log.

use serde::{Deserialize, Deserializer};
use vocabulary::metrics::{HELD_OUT_LOSSES, VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{MeasurementName, Measurements};

/// Whether every measured loss on held-out text is finite. If not, the stage has diverged. Other measurements do not matter.
pub(crate) fn has_finite_losses(result: &Measurements) -> bool {
    let is_loss = |name: &MeasurementName| HELD_OUT_LOSSES.iter().any(|metric| metric.is_of(name));
    result.iter().filter(|(name, _)| is_loss(name)).all(|(_, loss)| loss.is_finite())
}

/// A result in the log or in a snapshot. Before measurements had names, `sets` listed the losses on single held-out sets; the
/// other two losses already had the names they have now.
#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    sets: Vec<SetLoss>,
    #[serde(flatten)]
    measurements: Measurements,
}

#[derive(Deserialize)]
struct SetLoss {
    per_token: f64,
    per_byte: f64,
}

impl From<Stored> for Measurements {
    fn from(Stored { sets, mut measurements }: Stored) -> Self {
        for (set, SetLoss { per_token, per_byte }) in sets.into_iter().enumerate() {
            measurements.set(VALIDATION_LOSS.part(set), per_token);
            measurements.set(VALIDATION_LOSS_PER_BYTE.part(set), per_byte);
        }
        measurements
    }
}

/// Reads a result, of whatever version.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Measurements, D::Error> {
    Stored::deserialize(deserializer).map(Into::into)
}

/// Reads a result that may be missing.
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Measurements>, D::Error> {
    Ok(Option::<Stored>::deserialize(deserializer)?.map(Into::into))
}
