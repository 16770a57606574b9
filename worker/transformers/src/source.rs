//! Reads the tensors of a model's folder, from one file or from several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use crate::export::MODEL;
use crate::layout::THEIR_EMBEDDING;

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
    /// The index names a file that is not in the folder.
    #[error("{path} gives {tensors} tensors to {file}, which is not in the folder")]
    NoShard {
        /// Path of the index.
        path: PathBuf,
        /// The absent file.
        file: String,
        /// Number of tensors it should hold.
        tensors: usize,
    },
    /// The index gives a tensor to a file that does not have it.
    #[error("{path} gives {tensor} to {file}, which does not have it")]
    NotInShard {
        /// Path of the index.
        path: PathBuf,
        tensor: String,
        file: String,
    },
    /// A tensor is missing.
    #[error("the model has no tensor {tensor}: {there}")]
    Missing {
        tensor: String,
        /// The names that it has, as a clause.
        there: String,
    },
    /// Two tensors have the same name once the prefixes of wrappers are removed.
    #[error("the model has {one} and {other}, two tensors of the same name but for the prefix of a wrapper")]
    Ambiguous { one: String, other: String },
    /// Some of a tensor's values are not numbers, so neither would be the model's logits.
    #[error("{bad} of the {all} values of {tensor} are NaN or infinite, the first at index {first}")]
    NotFinite {
        tensor: String,
        /// How many are not finite.
        bad: usize,
        /// The count of such values.
        all: usize,
        /// Index of the first, in row-major order.
        first: usize,
    },
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
pub(crate) struct Files {
    shards: Vec<Shard>,
    index: Option<Index>,
}

#[derive(Debug)]
struct Shard {
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What an index says: the file of each tensor.
#[derive(Debug)]
struct Index {
    path: PathBuf,
    file_of: BTreeMap<String, String>,
}

impl Files {
    pub(crate) fn read(dir: &Path) -> Result<Self, SourceError> {
        let index = if dir.join(MODEL).is_file() {
            None
        } else if dir.join(INDEX).is_file() {
            Some(Index::read(dir.join(INDEX))?)
        } else {
            return Err(SourceError::NoWeights { dir: dir.to_owned() });
        };
        let names = match &index {
            None => BTreeSet::from([MODEL]),
            Some(index) => index.file_of.values().map(String::as_str).collect(),
        };
        let read = |name: &str| {
            let path = dir.join(name);
            if let Some(Index { path: index, file_of }) = &index
                && !path.is_file()
            {
                let tensors = file_of.values().filter(|file| *file == name).count();
                return Err(SourceError::NoShard { path: index.clone(), file: name.to_owned(), tensors });
            }
            Ok(Shard { name: name.to_owned(), bytes: read_file(&path)?, path })
        };
        let shards = names.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { shards, index })
    }

    /// The tensors by their usual names, and what people should know about the choice.
    pub(crate) fn tensors(&self) -> Result<(Tensors<'_>, Vec<String>), SourceError> {
        let mut all = BTreeMap::new();
        let mut notes = Vec::new();
        for shard in &self.shards {
            let file = SafeTensors::deserialize(&shard.bytes);
            let file = file.map_err(|source| SourceError::Format { path: shard.path.clone(), source })?;
            for (name, view) in file.tensors() {
                match self.index.as_ref().map(|index| index.file_of.get(&name)) {
                    None => {}
                    Some(Some(file)) if *file == shard.name => {}
                    Some(Some(file)) => {
                        notes.push(format!(
                            "{} has another copy of {name}; the index gives it to {file}, whose copy was taken",
                            shard.name
                        ));
                        continue;
                    }
                    Some(None) => {
                        notes.push(format!("{} has {name}, which the index does not name: left out", shard.name));
                        continue;
                    }
                }
                all.insert(name, view);
            }
        }
        // A file names its tensors in no certain order.
        notes.sort();
        if let Some(Index { path, file_of }) = &self.index
            && let Some((tensor, file)) = file_of.iter().find(|(tensor, _)| !all.contains_key(*tensor))
        {
            let (tensor, file) = (tensor.clone(), file.clone());
            return Err(SourceError::NotInShard { path: path.clone(), tensor, file });
        }
        let all = usual_names(all, &mut notes)?;
        Ok((Tensors(all), notes))
    }
}

/// Components that wrappers of PyTorch put into names: `torch.compile`, data parallelism, sharding, recomputation.
const WRAPPERS: [&str; 4] = ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Renames tensors that were saved from within a wrapper, or from the model without its head.
fn usual_names<'a>(
    tensors: BTreeMap<String, TensorView<'a>>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, TensorView<'a>>, SourceError> {
    let bare = |name: &str| -> String {
        name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
    };
    let doubled = format!("model.{THEIR_EMBEDDING}");
    let headless = THEIR_EMBEDDING.trim_start_matches("model.");
    let names: Vec<String> = tensors.keys().map(|name| bare(name)).collect();
    let (inner, outer) = (
        names.iter().all(|name| name.starts_with("model.")) && names.contains(&doubled),
        names.iter().any(|name| name == headless),
    );
    let mut all = BTreeMap::new();
    let mut renamed: Option<(String, String)> = None;
    let mut origins: BTreeMap<String, String> = BTreeMap::new();
    for ((name, view), bare) in tensors.into_iter().zip(names) {
        let usual = match bare.strip_prefix("model.") {
            Some(rest) if inner => rest.to_owned(),
            _ if outer && !bare.starts_with("lm_head.") => format!("model.{bare}"),
            _ => bare,
        };
        if usual != name && renamed.is_none() {
            renamed = Some((name.clone(), usual.clone()));
        }
        if let Some(other) = origins.insert(usual.clone(), name.clone()) {
            return Err(SourceError::Ambiguous { one: other, other: name });
        }
        all.insert(usual, view);
    }
    if let Some((name, usual)) = renamed {
        notes.push(format!("the tensors were saved under other names: {name}, for example, was read as {usual}"));
    }
    Ok(all)
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })
}

impl Index {
    fn read(path: PathBuf) -> Result<Self, SourceError> {
        let wrong = |problem: String| SourceError::Index { path: path.clone(), problem };
        let index: Value = serde_json::from_slice(&read_file(&path)?).map_err(|error| wrong(error.to_string()))?;
        let map = index["weight_map"].as_object().ok_or_else(|| wrong("`weight_map` is missing".to_owned()))?;
        let entry = |(tensor, value): (&String, &Value)| match value.as_str() {
            Some(name) if Path::new(name).file_name().is_some_and(|file| file == name) => {
                Ok((tensor.clone(), name.to_owned()))
            }
            _ => Err(wrong(format!("{value} is not the name of a file in the same folder"))),
        };
        let file_of = map.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { path, file_of })
    }
}

/// Tensors by name, each taken once.
#[derive(Debug)]
pub(crate) struct Tensors<'a>(BTreeMap<String, TensorView<'a>>);

impl Tensors<'_> {
    /// Takes a tensor of the expected shape; returns its values in row-major order.
    pub(crate) fn take(&mut self, tensor: &str, expected: &[usize]) -> Result<Vec<f32>, SourceError> {
        let Some(view) = self.0.remove(tensor) else {
            return Err(SourceError::Missing { tensor: tensor.to_owned(), there: self.names() });
        };
        if view.shape() != expected {
            let (found, expected) = (view.shape().to_vec(), expected.to_vec());
            return Err(SourceError::Shape { tensor: tensor.to_owned(), found, expected });
        }
        let Some(values) = values(&view) else {
            return Err(SourceError::Type { tensor: tensor.to_owned(), dtype: view.dtype() });
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(first) => {
                let bad = values.iter().filter(|value| !value.is_finite()).count();
                Err(SourceError::NotFinite { tensor: tensor.to_owned(), bad, all: values.len(), first })
            }
        }
    }

    /// Takes a tensor that need not be there, whatever its shape and type.
    pub(crate) fn take_spare(&mut self, tensor: &str) -> Option<Vec<f32>> {
        values(&self.0.remove(tensor)?)
    }

    /// The names that are left, as a clause.
    fn names(&self) -> String {
        const SHOWN: usize = 4;
        let names: Vec<&str> = self.0.keys().map(String::as_str).take(SHOWN).collect();
        match (names.is_empty(), self.0.len().saturating_sub(SHOWN)) {
            (true, _) => "it has no others".to_owned(),
            (false, 0) => format!("it also has {}", names.join(", ")),
            (false, more) => format!("it also has {} and {more} more", names.join(", ")),
        }
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
