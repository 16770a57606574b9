//! Reads the tensors of a model's folder, from one file or from several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::export::MODEL;

/// The file that maps tensors to files, if there are several.
const INDEX: &str = "model.safetensors.index.json";

/// A folder whose tensors cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder has neither a model file nor an index.
    #[error("{dir} has neither {MODEL} nor {INDEX}")]
    NoWeights { dir: PathBuf },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The index is malformed.
    #[error("{path} is not an index of tensors: {problem}")]
    Index {
        path: PathBuf,
        /// The problem, as a clause.
        problem: String,
    },
    /// A file is damaged.
    #[error("{path} is not a valid safetensors file")]
    Format {
        path: PathBuf,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A tensor is missing.
    #[error("the model has no tensor {tensor}")]
    Missing { tensor: String },
    /// A tensor's shape contradicts the configuration.
    #[error("{tensor} has shape {found:?}, but the configuration implies {expected:?}")]
    Shape {
        tensor: String,
        /// Shape found.
        found: Vec<usize>,
        /// Shape according to the configuration.
        expected: Vec<usize>,
    },
    /// A tensor has an unsupported number format.
    #[error("{tensor} holds {dtype:?}: expected F32, F16 or BF16")]
    Type {
        tensor: String,
        /// Number format found.
        dtype: Dtype,
    },
    /// The folder has a tensor that the model does not use.
    #[error("the tensor {tensor} does not belong to a MiniCPM model")]
    Surplus {
        /// The first such tensor.
        tensor: String,
    },
}

/// The files of a folder, unparsed.
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
    let map = index["weight_map"].as_object().ok_or_else(|| wrong("`weight_map` is missing".to_owned()))?;
    let name = |value: &Value| match value.as_str() {
        Some(name) if Path::new(name).file_name().is_some_and(|file| file == name) => Ok(name.to_owned()),
        _ => Err(wrong(format!("{value} is not the name of a file in the same folder"))),
    };
    map.values().map(name).collect()
}

/// Tensors by name, each taken once.
#[derive(Debug)]
pub(crate) struct Tensors<'a>(BTreeMap<String, TensorView<'a>>);

impl Tensors<'_> {
    /// Takes a tensor of the expected shape; returns its values in row-major order.
    pub(crate) fn take(&mut self, tensor: &str, expected: &[usize]) -> Result<Vec<f32>, SourceError> {
        let view = self.0.remove(tensor).ok_or_else(|| SourceError::Missing { tensor: tensor.to_owned() })?;
        if view.shape() != expected {
            let (found, expected) = (view.shape().to_vec(), expected.to_vec());
            return Err(SourceError::Shape { tensor: tensor.to_owned(), found, expected });
        }
        values(&view).ok_or_else(|| SourceError::Type { tensor: tensor.to_owned(), dtype: view.dtype() })
    }

    /// Fails if a tensor was not taken, unless `ignored` accepts its name.
    pub(crate) fn expect_no_more(self, ignored: impl Fn(&str) -> bool) -> Result<(), SourceError> {
        match self.0.into_keys().find(|tensor| !ignored(tensor)) {
            Some(tensor) => Err(SourceError::Surplus { tensor }),
            None => Ok(()),
        }
    }
}

/// A tensor's values as 32-bit floats, which represent both 16-bit formats exactly.
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
