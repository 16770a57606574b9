//! Reading tensors of a model's folder: one file, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::export::MODEL;

/// The file that says which file has which tensor, where there are several.
const INDEX: &str = "model.safetensors.index.json";

/// Why the tensors of a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There are none.
    #[error("{dir} has neither {MODEL} nor {INDEX}")]
    NoWeights {
        /// Where.
        dir: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The index is not one.
    #[error("{path} is not an index of tensors: {problem}")]
    Index {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file is damaged.
    #[error("{path} is not a valid safetensors file")]
    Format {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing.
    #[error("the model has no tensor {tensor}")]
    Missing {
        /// Which.
        tensor: String,
    },
    /// A tensor has another shape than its configuration says.
    #[error("{tensor} is of shape {found:?}, and by its configuration of shape {expected:?}")]
    Shape {
        /// Which.
        tensor: String,
        /// What it has.
        found: Vec<usize>,
        /// What it should have.
        expected: Vec<usize>,
    },
    /// A tensor holds numbers of a kind that is not read.
    #[error("{tensor} holds {dtype:?}: expected F32, F16 or BF16")]
    Type {
        /// Which.
        tensor: String,
        /// What it holds.
        dtype: Dtype,
    },
    /// A tensor belongs to no part of the model.
    #[error("there is no place here for the tensor {tensor}")]
    Surplus {
        /// The first of them.
        tensor: String,
    },
}

/// The files of a folder, as they are.
#[derive(Debug)]
pub(crate) struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    pub(crate) fn read(dir: &Path) -> Result<Self, SourceError> {
        let names = if dir.join(MODEL).is_file() {
            BTreeSet::from([MODEL.to_owned()])
        } else if dir.join(INDEX).is_file() {
            indexed(&dir.join(INDEX))?
        } else {
            return Err(SourceError::NoWeights { dir: dir.to_owned() });
        };
        let read = |name: String| {
            let path = dir.join(name);
            let bytes = read_file(&path)?;
            Ok((path, bytes))
        };
        Ok(Self(names.into_iter().map(read).collect::<Result<_, _>>()?))
    }

    pub(crate) fn tensors(&self) -> Result<Tensors<'_>, SourceError> {
        let mut all = BTreeMap::new();
        for (path, bytes) in &self.0 {
            let file = SafeTensors::deserialize(bytes);
            let file = file.map_err(|source| SourceError::Format { path: path.clone(), source })?;
            all.extend(file.tensors());
        }
        Ok(Tensors(all))
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })
}

/// The files that an index names.
fn indexed(path: &Path) -> Result<BTreeSet<String>, SourceError> {
    let wrong = |problem: String| SourceError::Index { path: path.to_owned(), problem };
    let index: Value = serde_json::from_slice(&read_file(path)?).map_err(|error| wrong(error.to_string()))?;
    let map = index["weight_map"].as_object().ok_or_else(|| wrong("it has no `weight_map`".to_owned()))?;
    let name = |value: &Value| match value.as_str() {
        Some(name) if Path::new(name).file_name().is_some_and(|file| file == name) => Ok(name.to_owned()),
        _ => Err(wrong(format!("{value} is not the name of a file beside it"))),
    };
    map.values().map(name).collect()
}

/// Tensors by name, each taken once.
#[derive(Debug)]
pub(crate) struct Tensors<'a>(BTreeMap<String, TensorView<'a>>);

impl Tensors<'_> {
    /// The values of a tensor that has this shape, in row-major order.
    pub(crate) fn take(&mut self, tensor: &str, expected: &[usize]) -> Result<Vec<f32>, SourceError> {
        let view = self.0.remove(tensor).ok_or_else(|| SourceError::Missing { tensor: tensor.to_owned() })?;
        if view.shape() != expected {
            let (found, expected) = (view.shape().to_vec(), expected.to_vec());
            return Err(SourceError::Shape { tensor: tensor.to_owned(), found, expected });
        }
        values(&view).ok_or_else(|| SourceError::Type { tensor: tensor.to_owned(), dtype: view.dtype() })
    }

    /// Refuses what was not taken, but for what `ignored` says.
    pub(crate) fn expect_no_more(self, ignored: impl Fn(&str) -> bool) -> Result<(), SourceError> {
        match self.0.into_keys().find(|tensor| !ignored(tensor)) {
            Some(tensor) => Err(SourceError::Surplus { tensor }),
            None => Ok(()),
        }
    }
}

/// The values of a tensor as 32-bit floats; both halves are exact in those.
fn values(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.chunks_exact(N).map(|bytes| value(bytes.try_into().expect("chunks of this size"))).collect()
    }
    match view.dtype() {
        Dtype::F32 => Some(each(view.data(), f32::from_le_bytes)),
        Dtype::F16 => Some(each(view.data(), |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Some(each(view.data(), |bytes| bf16::from_le_bytes(bytes).to_f32())),
        _ => None,
    }
}
