//! What a checkpoint holds: weights and optimiser state, as named 32-bit tensors in two safetensors blobs. Where a stage
//! records dynamics, a third one holds what the next step is compared with.
//!
//! The blob of the weights says what they are of, in the metadata of the file: [`Description`]. Whoever has it can compute
//! with the model, and needs neither the campaign nor the recipe.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use vocabulary::{DatasetId, ModelSpec};

/// The blob of the weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// The blob of the optimiser's moments: `NAME.first_moment` and `NAME.second_moment` of every parameter.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// The blob of a stage that records: `NAME.gradient` of the last step and `NAME.before`, the weights before it.
pub const DYNAMICS: &str = "dynamics.safetensors";

/// The one key of the weights' metadata, with JSON behind it. One, because several would be written in random order.
const METADATA: &str = "windtunnel";

pub(crate) const FIRST_MOMENT: &str = ".first_moment";
pub(crate) const SECOND_MOMENT: &str = ".second_moment";
pub(crate) const GRADIENT: &str = ".gradient";
pub(crate) const WEIGHT_BEFORE: &str = ".before";

/// A run between two steps, on the host: all that is needed to go on from there.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Steps done, counted from the root: training goes on with this step.
    pub step: u64,
    /// What the weights are of; none where an early version stored them, which did not say.
    pub description: Option<Description>,
    pub(crate) weights: BTreeMap<String, HostTensor>,
    pub(crate) optimizer: BTreeMap<String, HostTensor>,
    /// What a stage that records keeps of the last step; empty where none was recorded.
    pub(crate) recorded: BTreeMap<String, HostTensor>,
}

/// What weights are of: all it takes to compute with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// The model.
    pub model: ModelSpec,
    /// The dataset it was trained on, whose tokenizer it speaks; none for weights from elsewhere.
    pub dataset: Option<DatasetId>,
    /// Tokens in the sequences it was trained on.
    pub context: u32,
}

/// The metadata of the weights, as they are stored.
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
    /// What the weights are of cannot be read.
    #[error("{WEIGHTS} does not say what it holds in a form that this version knows")]
    Metadata(#[source] serde_json::Error),
    /// What the weights are of is not said.
    #[error("{WEIGHTS} does not say which model it holds: an early version of this program wrote it")]
    Undescribed,
    /// The weights are of another step than the checkpoint.
    #[error("{WEIGHTS} is from after step {found}, and not from after step {expected}")]
    Step {
        /// What the blob says.
        found: u64,
        /// Of the checkpoint.
        expected: u64,
    },
}

impl Snapshot {
    /// Weights from elsewhere, on which no step was done here.
    #[must_use]
    pub fn of_weights(description: Description, weights: BTreeMap<String, HostTensor>) -> Self {
        Self { step: 0, description: Some(description), weights, optimizer: BTreeMap::new(), recorded: BTreeMap::new() }
    }

    /// The weights by the names of their parameters.
    #[must_use]
    pub fn weights(&self) -> &BTreeMap<String, HostTensor> {
        &self.weights
    }

    /// Weights and optimiser state, ready to be stored. The same snapshot gives the same bytes.
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

    /// Reads the weights alone, to compute with and not to train on.
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

    /// Bytes of all tensors.
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

/// A blob whose values are not read yet.
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

/// The steps done, and what the weights are of.
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
