//! Checks that a checkpoint's tensors match a model, and loads them into it.

use std::collections::BTreeMap;

use burn::module::Module;
use minicpm::MiniCpm;

use crate::parameters::{Path, Replace, shapes};
use crate::snapshot::{HostTensor, Snapshot};

/// A checkpoint whose tensors do not match a model.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// A tensor is missing in the checkpoint, or its shape differs from the model's.
    #[error("the checkpoint does not fit the model: {tensor} is {found}, expected shape {expected:?}")]
    Tensor {
        tensor: String,
        /// Shape in the checkpoint, or `missing`.
        found: String,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// The checkpoint has tensors that the model lacks.
    #[error("the checkpoint does not fit the model, which has no {tensor}")]
    Surplus {
        /// The first such tensor.
        tensor: String,
    },
}

/// The model with the checkpoint's weights.
pub(crate) fn with_weights(model: MiniCpm, snapshot: &Snapshot) -> Result<MiniCpm, FitError> {
    let parameters = shapes(&model);
    if let Some(tensor) = snapshot.weights.keys().find(|name| !parameters.contains_key(*name)) {
        return Err(FitError::Surplus { tensor: tensor.clone() });
    }
    for (name, shape) in &parameters {
        fitting(&snapshot.weights, name.clone(), shape)?;
    }
    Ok(model.map(&mut Replace { path: Path::default(), values: &snapshot.weights }))
}

/// The values of a tensor with the expected shape.
pub(crate) fn fitting<'a>(
    tensors: &'a BTreeMap<String, HostTensor>,
    tensor: String,
    expected: &[usize],
) -> Result<&'a [f32], FitError> {
    of_shape(tensors.get(&tensor), tensor, expected)
}

/// The values of what was found under a name, if they have the expected shape.
pub(crate) fn of_shape<'a>(
    found: Option<&'a HostTensor>,
    tensor: String,
    expected: &[usize],
) -> Result<&'a [f32], FitError> {
    match found {
        Some(found) if found.shape == expected => Ok(&found.values),
        found => {
            let found = found.map_or_else(|| "missing".to_owned(), |found| format!("of shape {:?}", found.shape));
            Err(FitError::Tensor { tensor, found, expected: expected.to_vec() })
        }
    }
}
