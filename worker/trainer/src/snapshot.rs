//! What a checkpoint holds: weights and optimiser state, as named 32-bit tensors in two safetensors blobs.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The blob of the weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// The blob of the optimiser's moments: `NAME.first_moment` and `NAME.second_moment` of every parameter.
pub const OPTIMIZER: &str = "optimizer.safetensors";

pub(crate) const FIRST_MOMENT: &str = ".first_moment";
pub(crate) const SECOND_MOMENT: &str = ".second_moment";

/// A run between two steps, on the host: all that is needed to go on from there.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Steps done, counted from the root: training goes on with this step.
    pub step: u64,
    pub(crate) weights: BTreeMap<String, HostTensor>,
    pub(crate) optimizer: BTreeMap<String, HostTensor>,
}

/// A tensor on the host, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

/// A part of a checkpoint, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its file name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why blobs are not a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A blob is not among them.
    #[error("the checkpoint has no {name}")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A blob cannot be read or written.
    #[error("{name} is not a valid safetensors file")]
    Format {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A tensor has another type than 32-bit float.
    #[error("{tensor} in {name} holds {dtype:?}, and not F32")]
    Type {
        /// In which blob.
        name: &'static str,
        /// Which.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
}

impl Snapshot {
    /// Weights and optimiser state, ready to be stored. The same snapshot gives the same bytes.
    pub fn to_blobs(&self) -> Result<Vec<Blob>, SnapshotError> {
        Ok(vec![encode(WEIGHTS, &self.weights)?, encode(OPTIMIZER, &self.optimizer)?])
    }

    /// Reads what [`Snapshot::to_blobs`] wrote after `step` steps.
    pub fn from_blobs(step: u64, blobs: &[Blob]) -> Result<Self, SnapshotError> {
        let read = |name: &'static str| {
            let blob = blobs.iter().find(|blob| blob.name == name).ok_or(SnapshotError::Missing { name })?;
            decode(name, &blob.bytes)
        };
        Ok(Self { step, weights: read(WEIGHTS)?, optimizer: read(OPTIMIZER)? })
    }

    /// Bytes of all tensors.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let values =
            |tensors: &BTreeMap<String, HostTensor>| tensors.values().map(|tensor| tensor.values.len()).sum::<usize>();
        4 * (values(&self.weights) + values(&self.optimizer)) as u64
    }
}

fn encode(name: &'static str, tensors: &BTreeMap<String, HostTensor>) -> Result<Blob, SnapshotError> {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, tensor.shape.as_slice(), bytes)
        })
        .collect();
    let format = |source| SnapshotError::Format { name, source };
    let views = bytes
        .iter()
        .map(|(tensor, shape, bytes)| Ok((tensor, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(format)?;
    let bytes = safetensors::serialize(views, None).map_err(format)?;
    Ok(Blob { name: name.to_owned(), bytes })
}

fn decode(name: &'static str, bytes: &[u8]) -> Result<BTreeMap<String, HostTensor>, SnapshotError> {
    let file = SafeTensors::deserialize(bytes).map_err(|source| SnapshotError::Format { name, source })?;
    file.tensors()
        .into_iter()
        .map(|(tensor, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(SnapshotError::Type { name, tensor, dtype: view.dtype() });
            }
            let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("chunks of four"));
            let values = view.data().chunks_exact(4).map(value).collect();
            Ok((tensor, HostTensor { shape: view.shape().to_vec(), values }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let tensor = |shape: &[usize], start: f32| HostTensor {
            shape: shape.to_vec(),
            values: (0..shape.iter().product()).map(|index: usize| start + index as f32 / 3.0).collect(),
        };
        Snapshot {
            step: 7,
            weights: [("a".to_owned(), tensor(&[2, 3], 1.0)), ("b.gain".to_owned(), tensor(&[4], -2.0))].into(),
            optimizer: [("a.first_moment".to_owned(), tensor(&[6], 1e-30))].into(),
        }
    }

    #[test]
    fn blobs_bring_back_every_bit() {
        let blobs = snapshot().to_blobs().expect("encodes");
        assert_eq!(Snapshot::from_blobs(7, &blobs).expect("decodes"), snapshot());
        assert_eq!(blobs, snapshot().to_blobs().expect("encodes"));
    }

    #[test]
    fn damage_is_named() {
        let mut blobs = snapshot().to_blobs().expect("encodes");
        blobs[1].bytes.truncate(20);
        let error = Snapshot::from_blobs(7, &blobs).expect_err("truncated").to_string();
        assert!(error.contains("optimizer.safetensors"), "{error}");
        let error = Snapshot::from_blobs(7, &blobs[1..]).expect_err("incomplete").to_string();
        assert!(error.contains("weights.safetensors"), "{error}");
    }
}
