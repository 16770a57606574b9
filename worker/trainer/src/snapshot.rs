//! The content of a checkpoint: weights and optimiser state, as named 32-bit tensors in two safetensors blobs. If a
//! stage records dynamics, a third blob holds what the next step is compared with.
//!
//! The weights' blob describes its model in the file's metadata, as a [`Description`]: it suffices for computing with
//! the model, without the campaign or the recipe.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use vocabulary::{DatasetId, ModelSpec};

/// File name of the weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// File name of the optimiser's moments: `NAME.first_moment` and `NAME.second_moment` of every parameter.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// File name of a recording stage's state: `NAME.gradient` of the last step and `NAME.before`, the weights before it.
pub const DYNAMICS: &str = "dynamics.safetensors";

/// The only key of the weights' metadata, with JSON as its value. Only one, because several would be written in random
/// order.
const METADATA: &str = "windtunnel";

pub(crate) const FIRST_MOMENT: &str = ".first_moment";
pub(crate) const SECOND_MOMENT: &str = ".second_moment";
pub(crate) const GRADIENT: &str = ".gradient";
pub(crate) const WEIGHT_BEFORE: &str = ".before";

/// A run between two steps, on the host: everything needed to continue it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Steps done, counted from the root. Training continues with this step.
    pub step: u64,
    /// Description of the weights; `None` if an early version stored them without one.
    pub description: Option<Description>,
    pub(crate) weights: BTreeMap<String, HostTensor>,
    pub(crate) optimizer: BTreeMap<String, HostTensor>,
    /// What a recording stage keeps of the last step; empty if nothing was recorded.
    pub(crate) recorded: BTreeMap<String, HostTensor>,
}

/// Description of weights: everything needed to compute with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    pub model: ModelSpec,
    /// The dataset it was trained on, which has its tokenizer; `None` for imported weights.
    pub dataset: Option<DatasetId>,
    /// Tokens per training sequence.
    pub context: u32,
}

/// The metadata of the weights, as stored.
#[derive(Serialize, Deserialize)]
struct Metadata {
    model: ModelSpec,
    step: u64,
    dataset: Option<DatasetId>,
    context: u32,
}

/// A tensor on the host, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// File name.
    pub name: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
}

/// Blobs that do not form a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A blob is missing.
    #[error("the checkpoint has no {name}")]
    Missing { name: &'static str },
    /// A blob cannot be parsed or written.
    #[error("{name} is not a valid safetensors file")]
    Format {
        name: &'static str,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A tensor has another type than 32-bit float.
    #[error("{tensor} in {name} holds {dtype:?}, expected F32")]
    Type {
        /// Blob with the tensor.
        name: &'static str,
        tensor: String,
        /// Actual type.
        dtype: Dtype,
    },
    /// The description cannot be parsed.
    #[error("{WEIGHTS} does not say what it holds in a form that this version knows")]
    Metadata(#[source] serde_json::Error),
    /// There is no description.
    #[error("{WEIGHTS} does not say which model it holds: an early version of this program wrote it")]
    Undescribed,
    /// The weights are from another step than the checkpoint.
    #[error("{WEIGHTS} is from step {found}, expected step {expected}")]
    Step {
        /// Step in the blob.
        found: u64,
        /// Step of the checkpoint.
        expected: u64,
    },
}

impl Snapshot {
    /// Imported weights, at step 0.
    #[must_use]
    pub fn of_weights(description: Description, weights: BTreeMap<String, HostTensor>) -> Self {
        Self { step: 0, description: Some(description), weights, optimizer: BTreeMap::new(), recorded: BTreeMap::new() }
    }

    /// The weights by parameter name.
    #[must_use]
    pub fn weights(&self) -> &BTreeMap<String, HostTensor> {
        &self.weights
    }

    /// Serialises weights and optimiser state. The same snapshot gives the same bytes.
    pub fn to_blobs(&self) -> Result<Vec<Blob>, SnapshotError> {
        let metadata = self.description.map(|Description { model, dataset, context }| {
            let metadata = Metadata { model, step: self.step, dataset, context };
            serde_json::to_string(&metadata).expect("a description always has a JSON form")
        });
        let mut blobs = vec![encode(WEIGHTS, &self.weights, metadata)?, encode(OPTIMIZER, &self.optimizer, None)?];
        if !self.recorded.is_empty() {
            blobs.push(encode(DYNAMICS, &self.recorded, None)?);
        }
        Ok(blobs)
    }

    /// Reads what [`Snapshot::to_blobs`] wrote after `step` steps.
    pub fn from_blobs(step: u64, blobs: &[Blob]) -> Result<Self, SnapshotError> {
        let blob = |name: &'static str| {
            let blob = blobs.iter().find(|blob| blob.name == name).ok_or(SnapshotError::Missing { name })?;
            parse(name, &blob.bytes)
        };
        let (weights, optimizer) = (blob(WEIGHTS)?, blob(OPTIMIZER)?);
        let metadata = weights.metadata.as_deref().map(read_metadata).transpose()?;
        if let Some((found, _)) = metadata
            && found != step
        {
            return Err(SnapshotError::Step { found, expected: step });
        }
        let description = metadata.map(|(_, description)| description);
        let optimizer = decode(OPTIMIZER, &optimizer.tensors)?;
        let recorded = match blobs.iter().find(|blob| blob.name == DYNAMICS) {
            Some(blob) => decode(DYNAMICS, &parse(DYNAMICS, &blob.bytes)?.tensors)?,
            None => BTreeMap::new(),
        };
        Ok(Self { step, description, weights: decode(WEIGHTS, &weights.tensors)?, optimizer, recorded })
    }

    /// Reads only the weights, for inference.
    pub fn from_weights(blob: &[u8]) -> Result<Self, SnapshotError> {
        let Parsed { metadata, tensors } = parse(WEIGHTS, blob)?;
        let (step, description) = read_metadata(&metadata.ok_or(SnapshotError::Undescribed)?)?;
        let weights = decode(WEIGHTS, &tensors)?;
        Ok(Self {
            step,
            description: Some(description),
            weights,
            optimizer: BTreeMap::new(),
            recorded: BTreeMap::new(),
        })
    }

    /// Total size of all tensors, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let values =
            |tensors: &BTreeMap<String, HostTensor>| tensors.values().map(|tensor| tensor.values.len()).sum::<usize>();
        4 * (values(&self.weights) + values(&self.optimizer) + values(&self.recorded)) as u64
    }
}

fn encode(
    name: &'static str,
    tensors: &BTreeMap<String, HostTensor>,
    metadata: Option<String>,
) -> Result<Blob, SnapshotError> {
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
    let metadata = metadata.map(|metadata| HashMap::from([(METADATA.to_owned(), metadata)]));
    let bytes = safetensors::serialize(views, metadata).map_err(format)?;
    Ok(Blob { name: name.to_owned(), bytes })
}

/// A blob whose values have not been read yet.
struct Parsed<'a> {
    metadata: Option<String>,
    tensors: SafeTensors<'a>,
}

fn parse<'a>(name: &'static str, bytes: &'a [u8]) -> Result<Parsed<'a>, SnapshotError> {
    let format = |source| SnapshotError::Format { name, source };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA)).cloned();
    Ok(Parsed { metadata, tensors: SafeTensors::deserialize(bytes).map_err(format)? })
}

/// The number of steps done, and the description.
fn read_metadata(text: &str) -> Result<(u64, Description), SnapshotError> {
    let Metadata { model, step, dataset, context } = serde_json::from_str(text).map_err(SnapshotError::Metadata)?;
    Ok((step, Description { model, dataset, context }))
}

fn decode(name: &'static str, file: &SafeTensors<'_>) -> Result<BTreeMap<String, HostTensor>, SnapshotError> {
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
    use vocabulary::{Shape, TensorProgram};

    use super::*;

    fn description() -> Description {
        let shape = Shape { d_model: 4, d_ff: 6, head_dim: 2, n_heads: 2, n_kv_heads: 1, n_layers: 3 };
        let tensor_program = TensorProgram { scale_emb: 12.0, scale_depth: 1.4, init_std: 0.1, d_base: 3 };
        let model = ModelSpec { shape, vocab: 10, tied: true, tensor_program, rope_theta: 10_000.0, norm_eps: 1e-5 };
        Description { model, dataset: Some(DatasetId::from_content(b"a text")), context: 64 }
    }

    fn snapshot() -> Snapshot {
        let tensor = |shape: &[usize], start: f32| HostTensor {
            shape: shape.to_vec(),
            values: (0..shape.iter().product()).map(|index: usize| start + index as f32 / 3.0).collect(),
        };
        Snapshot {
            step: 7,
            description: Some(description()),
            weights: [("a".to_owned(), tensor(&[2, 3], 1.0)), ("b.gain".to_owned(), tensor(&[4], -2.0))].into(),
            optimizer: [("a.first_moment".to_owned(), tensor(&[6], 1e-30))].into(),
            recorded: BTreeMap::new(),
        }
    }

    #[test]
    fn blobs_bring_back_every_bit() {
        let blobs = snapshot().to_blobs().expect("encodes");
        assert_eq!(Snapshot::from_blobs(7, &blobs).expect("decodes"), snapshot());
        assert_eq!(blobs, snapshot().to_blobs().expect("encodes"));
        let weights = Snapshot::from_weights(&blobs[0].bytes).expect("decodes");
        assert_eq!(weights, Snapshot { optimizer: BTreeMap::new(), ..snapshot() });
    }

    #[test]
    fn what_is_recorded_is_a_blob_of_its_own() {
        let recording = Snapshot { recorded: snapshot().optimizer, ..snapshot() };
        let blobs = recording.to_blobs().expect("encodes");
        assert_eq!(Snapshot::from_blobs(7, &blobs).expect("decodes"), recording);
        assert_eq!(blobs[..2], snapshot().to_blobs().expect("encodes"));
    }

    #[test]
    fn weights_that_do_not_say_what_they_are_of_are_trained_on_and_not_computed_with() {
        let early = Snapshot { description: None, ..snapshot() };
        let blobs = early.to_blobs().expect("encodes");
        assert_eq!(Snapshot::from_blobs(7, &blobs).expect("decodes"), early);
        assert!(matches!(Snapshot::from_weights(&blobs[0].bytes), Err(SnapshotError::Undescribed)));
    }

    #[test]
    fn weights_of_another_step_are_refused() {
        let blobs = snapshot().to_blobs().expect("encodes");
        assert!(matches!(Snapshot::from_blobs(8, &blobs), Err(SnapshotError::Step { found: 7, expected: 8 })));
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
