//! The losses on held-out text.

use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{DocumentLoss, Measured, Measurements, Metric, Rows};

/// The outcome of a validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// [`VALIDATION_LOSS`] and [`VALIDATION_LOSS_PER_BYTE`], with their parts if the data has several domains.
    pub measurements: Measurements,
    /// The documents behind [`VALIDATION_LOSS`], or behind its parts if the data has several domains; none if the dataset
    /// does not say where they begin.
    pub rows: Rows,
    /// Tokens predicted, over all sets.
    pub tokens: u64,
    /// Bytes of text behind them.
    pub bytes: u64,
}

/// A held-out set, summed up.
#[derive(Debug, Clone)]
pub(crate) struct SetTotal {
    /// Sum of the tokens' losses, in nats.
    pub(crate) nats: f64,
    /// The losses that count: one for each token.
    pub(crate) weight: f64,
    pub(crate) tokens: u64,
    pub(crate) bytes: u64,
    pub(crate) documents: Vec<DocumentLoss>,
}

impl From<Validation> for Measured {
    fn from(Validation { measurements, rows, .. }: Validation) -> Self {
        Self { measurements, rows }
    }
}

impl Validation {
    /// The losses over all held-out sets. Each set counts once in the mean: the paper's average.
    pub(crate) fn over(sets: &[SetTotal]) -> Self {
        let mut measurements = Measurements::new();
        let mut note = |metric: Metric, loss: fn(&SetTotal) -> f64| {
            measurements.set(metric, sets.iter().map(loss).sum::<f64>() / sets.len() as f64);
            // With a single set, the mean is its loss.
            for (index, set) in sets.iter().enumerate().filter(|_| sets.len() > 1) {
                measurements.set(metric.part(index), loss(set));
            }
        };
        note(VALIDATION_LOSS, |set| set.nats / set.weight);
        note(VALIDATION_LOSS_PER_BYTE, |set| set.nats / set.bytes as f64);
        let mut rows = Rows::new();
        for (index, set) in sets.iter().enumerate().filter(|(_, set)| !set.documents.is_empty()) {
            let name = if sets.len() > 1 { VALIDATION_LOSS.part(index) } else { VALIDATION_LOSS.into() };
            rows.set(name, set.documents.clone());
        }
        Self {
            measurements,
            rows,
            tokens: sets.iter().map(|set| set.tokens).sum(),
            bytes: sets.iter().map(|set| set.bytes).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_counts_each_set_once_and_a_single_set_is_not_named() {
        let of_small = DocumentLoss { nats: 20.0, tokens: 10, bytes: 40 };
        let (small, large) = (
            SetTotal { nats: 20.0, weight: 10.0, tokens: 10, bytes: 40, documents: vec![of_small] },
            SetTotal { nats: 400.0, weight: 100.0, tokens: 100, bytes: 400, documents: Vec::new() },
        );
        let both = Validation::over(&[small.clone(), large]);
        assert_eq!(both.rows.get(VALIDATION_LOSS.part(0)), Some(&[of_small][..]));
        assert_eq!(both.rows.iter().count(), 1);
        assert_eq!((both.tokens, both.bytes), (110, 440));
        let expected = [
            (VALIDATION_LOSS.into(), 3.0),
            (VALIDATION_LOSS.part(0), 2.0),
            (VALIDATION_LOSS.part(1), 4.0),
            (VALIDATION_LOSS_PER_BYTE.into(), 0.75),
            (VALIDATION_LOSS_PER_BYTE.part(0), 0.5),
            (VALIDATION_LOSS_PER_BYTE.part(1), 1.0),
        ];
        assert_eq!(both.measurements, Measurements::from_iter(expected));
        let one = Measurements::new().with(VALIDATION_LOSS, 2.0).with(VALIDATION_LOSS_PER_BYTE, 0.5);
        let only = Validation::over(&[small]);
        assert_eq!((only.measurements, only.rows.get(VALIDATION_LOSS)), (one, Some(&[of_small][..])));
    }
}
