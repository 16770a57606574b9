//! Measures how far weights moved between two checkpoints.

use std::collections::BTreeMap;

use crate::HostTensor;
use crate::fit::{FitError, of_shape};
use crate::snapshot::Snapshot;
use crate::surgery::{EMBEDDING, HEAD};

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

/// The changes of all parameters, by name. Where only one of the two has a head of its own, the other's embedding is compared
/// with it, which is the head of a tied model.
///
/// # Errors
/// Fails if the two snapshots are of models with different shapes.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Result<Vec<WeightChange>, FitError> {
    let has_head = [before, after].iter().any(|snapshot| snapshot.weights.contains_key(HEAD));
    let (before, after) = (weights(before, has_head), weights(after, has_head));
    if let Some(tensor) = after.keys().find(|name| !before.contains_key(*name)) {
        return Err(FitError::Surplus { tensor: (*tensor).to_owned() });
    }
    let change = |(parameter, old): (&&str, &&HostTensor)| {
        let new = of_shape(after.get(parameter).copied(), (*parameter).to_owned(), &old.shape)?;
        let (mut largest, mut square, mut length) = (0.0, 0.0, 0.0);
        for (old, new) in old.values.iter().zip(new) {
            let old = f64::from(*old);
            let moved = f64::from(*new) - old;
            largest = vocabulary::dynamics::larger(largest, moved.abs());
            square += moved * moved;
            length += old * old;
        }
        Ok(WeightChange {
            parameter: (*parameter).to_owned(),
            shape: old.shape.clone(),
            largest,
            rms: (square / old.values.len() as f64).sqrt(),
            relative: (square / length).sqrt(),
        })
    };
    before.iter().map(change).collect()
}

/// The weights of a snapshot by name, with those of its head if they are asked for.
fn weights(snapshot: &Snapshot, with_head: bool) -> BTreeMap<&str, &HostTensor> {
    let mut weights: BTreeMap<_, _> = snapshot.weights.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    if with_head && let Some(embedding) = weights.get(EMBEDDING).copied() {
        weights.entry(HEAD).or_insert(embedding);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Description;

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

    /// As before and after `branch --surgery untie`.
    #[test]
    fn the_head_of_a_tied_model_is_its_embedding() {
        let model = |tensors: &[(&str, [f32; 2])]| {
            let mut model = snapshot(&[1.0]);
            let tensor = |values: &[f32; 2]| HostTensor { shape: vec![2], values: values.to_vec() };
            model.weights.extend(tensors.iter().map(|(name, values)| ((*name).to_owned(), tensor(values))));
            model
        };
        let tied = model(&[(EMBEDDING, [3.0, 4.0])]);
        let untied = model(&[(EMBEDDING, [3.0, 4.0]), (HEAD, [3.0, 6.0])]);
        let largest = |before, after| -> Vec<(String, f64)> {
            let found = changes(before, after).expect("one is the other with a head");
            found.into_iter().map(|change| (change.parameter, change.largest)).collect()
        };
        let expected = [(EMBEDDING.to_owned(), 0.0), (HEAD.to_owned(), 2.0), ("norm".to_owned(), 0.0)];
        assert_eq!(largest(&tied, &untied), expected);
        assert_eq!(largest(&untied, &tied), expected);
        assert_eq!(largest(&tied, &tied).len(), 2, "without a head of its own there is none to list");
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
