//! Measures how far weights moved between two checkpoints.

use crate::fit::{FitError, fitting};
use crate::snapshot::Snapshot;

/// The change of a parameter between two checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightChange {
    /// Name of the parameter.
    pub parameter: String,
    /// Dimensions of the parameter.
    pub shape: Vec<usize>,
    /// Largest absolute change of one of its elements.
    pub largest: f64,
    /// Root mean square of the changes.
    pub rms: f64,
    /// L2 norm of the change over the previous L2 norm; NaN if all elements were zero.
    pub relative: f64,
}

/// The changes of all parameters, by name.
///
/// # Errors
/// Fails if the two snapshots are of models with different shapes.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Result<Vec<WeightChange>, FitError> {
    if let Some(tensor) = after.weights.keys().find(|name| !before.weights.contains_key(*name)) {
        return Err(FitError::Surplus { tensor: tensor.clone() });
    }
    let change = |(parameter, old): (&String, &crate::HostTensor)| {
        let new = fitting(&after.weights, parameter.clone(), &old.shape)?;
        let (mut largest, mut square, mut length) = (0.0, 0.0, 0.0);
        for (old, new) in old.values.iter().zip(new) {
            let old = f64::from(*old);
            let moved = f64::from(*new) - old;
            largest = vocabulary::dynamics::larger(largest, moved.abs());
            square += moved * moved;
            length += old * old;
        }
        Ok(WeightChange {
            parameter: parameter.clone(),
            shape: old.shape.clone(),
            largest,
            rms: (square / old.values.len() as f64).sqrt(),
            relative: (square / length).sqrt(),
        })
    };
    before.weights.iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Description, HostTensor};

    fn snapshot(values: &[f32]) -> Snapshot {
        let description = Description { model: vocabulary::sample::model(), dataset: None, context: 8 };
        let tensor = HostTensor { shape: vec![1, values.len()], values: values.to_vec() };
        Snapshot::of_weights(description, BTreeMap::from([("norm".to_owned(), tensor)]))
    }

    #[test]
    fn changes_are_those_of_a_vector_worked_out_by_hand() {
        let found = changes(&snapshot(&[3.0, 0.0, 4.0, 0.0]), &snapshot(&[3.0, 1.0, 2.0, 2.0])).expect("one shape");
        let shape = vec![1, 4];
        let expected = WeightChange { parameter: "norm".to_owned(), shape, largest: 2.0, rms: 1.5, relative: 0.6 };
        assert_eq!(found, [expected]);
        assert!(changes(&snapshot(&[1.0]), &snapshot(&[f32::NAN])).expect("one shape")[0].largest.is_nan());
    }

    #[test]
    fn models_of_other_shapes_do_not_compare() {
        let error = changes(&snapshot(&[1.0]), &snapshot(&[1.0, 2.0])).expect_err("another shape").to_string();
        assert!(error.contains("norm is of shape [1, 2], expected shape [1, 1]"), "{error}");
        let mut other = snapshot(&[1.0]);
        other.weights.insert("head".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] });
        assert!(changes(&snapshot(&[1.0]), &other).is_err() && changes(&other, &snapshot(&[1.0])).is_err());
    }
}
