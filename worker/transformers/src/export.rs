//! Exports a checkpoint as a folder that `transformers` loads.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, View};
use serde_json::{Value, json};
use trainer::{Description, HostTensor, Snapshot};
use vocabulary::ModelSpec;

use crate::config::{self, SpecialTokens};
use crate::format::Format;
use crate::layout::{
    BlockNames, EMBEDDING, GAINS, HEAD, NORM, THEIR_EMBEDDING, THEIR_HEAD, THEIR_NORM, Widths, matrices, parameters,
};

/// File name of the weights.
pub(crate) const MODEL: &str = "model.safetensors";
/// File name of the configuration.
pub(crate) const CONFIG: &str = "config.json";

/// A checkpoint that cannot be exported to a layout.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The checkpoint does not name its model.
    #[error("the checkpoint does not say which model it is of: an early version of this program wrote it")]
    Undescribed,
    /// A tensor does not match the model that the checkpoint names.
    #[error("the checkpoint's {tensor} is {found}, but its model needs shape {expected:?}")]
    Tensor {
        tensor: String,
        /// Shape found, or `missing`.
        found: String,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// The checkpoint has a tensor that its model lacks.
    #[error("the checkpoint has {tensor}, which its model does not use")]
    Surplus { tensor: String },
    /// The layout cannot express the model.
    #[error("the layout {format} cannot express this model: {reason}")]
    Inexpressible { format: Format, reason: String },
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Writing the weights failed.
    #[error("cannot write {path}")]
    Weights {
        path: PathBuf,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Writing another file failed.
    #[error("cannot write {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A model's tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFile {
    /// Content of its `tokenizer.json`.
    pub json: String,
    /// Token that separates documents.
    pub end_of_document: u32,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub name: &'static str,
    /// Size in bytes.
    pub bytes: u64,
}

/// A checkpoint arranged in a layout, not yet written.
#[derive(Debug)]
pub struct Export<'a> {
    tensors: Vec<(String, Piece<'a>)>,
    config: Value,
    generation_config: Value,
    /// Contents of `tokenizer_config.json` and `tokenizer.json`.
    tokenizer: Option<(Value, &'a str)>,
}

impl<'a> Export<'a> {
    /// Arranges a checkpoint in a layout, with a tokenizer if there is one. Copies no data yet.
    pub fn new(
        snapshot: &'a Snapshot,
        format: Format,
        tokenizer: Option<&'a TokenizerFile>,
    ) -> Result<Self, ExportError> {
        let description = snapshot.description.as_ref().ok_or(ExportError::Undescribed)?;
        check(snapshot, &description.model)?;
        config::check_expressible(format, &description.model)
            .map_err(|reason| ExportError::Inexpressible { format, reason })?;
        let end = tokenizer.map(|tokenizer| tokenizer.end_of_document);
        let special = SpecialTokens { begin: end, end };
        let tokenizer = tokenizer.map(|tokenizer| (tokenizer_config(tokenizer, description), tokenizer.json.as_str()));
        Ok(Self {
            tensors: tensors(snapshot, format, &description.model),
            config: config::write(format, description, special),
            generation_config: json!({ "_from_model_config": true, "bos_token_id": end, "eos_token_id": end }),
            tokenizer,
        })
    }

    /// Names and shapes of its tensors, in the order of the blocks.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, piece)| (name.as_str(), piece.shape.as_slice()))
    }

    /// The `config.json`.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Writes all files into an existing folder, overwriting files of the same names. The configuration comes last, so
    /// that a folder that has one is complete.
    pub fn write(&self, dir: &Path) -> Result<Vec<Written>, WriteError> {
        let path = dir.join(MODEL);
        let tensors = self.tensors.iter().map(|(name, piece)| (name.as_str(), piece));
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize_to_file(tensors, Some(metadata), &path)
            .map_err(|source| WriteError::Weights { path: path.clone(), source })?;
        let bytes = std::fs::metadata(&path).map_err(|source| WriteError::File { path, source })?.len();
        let mut written = vec![Written { name: MODEL, bytes }];
        let mut write = |name, content: &[u8]| {
            let path = dir.join(name);
            std::fs::write(&path, content).map_err(|source| WriteError::File { path, source })?;
            written.push(Written { name, bytes: content.len() as u64 });
            Ok(())
        };
        if let Some((config, tokenizer)) = &self.tokenizer {
            write("tokenizer.json", tokenizer.as_bytes())?;
            write("tokenizer_config.json", pretty(config).as_bytes())?;
        }
        write("generation_config.json", pretty(&self.generation_config).as_bytes())?;
        write(CONFIG, pretty(&self.config).as_bytes())?;
        Ok(written)
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Checks that a checkpoint has exactly the tensors of its model.
fn check(snapshot: &Snapshot, model: &ModelSpec) -> Result<(), ExportError> {
    let expected = parameters(model);
    for (tensor, shape) in &expected {
        match snapshot.weights().get(tensor) {
            Some(found) if found.shape == *shape => {}
            found => {
                let found = found.map_or_else(|| "missing".to_owned(), |found| format!("of shape {:?}", found.shape));
                return Err(ExportError::Tensor { tensor: tensor.clone(), found, expected: shape.clone() });
            }
        }
    }
    match snapshot.weights().keys().find(|name| expected.iter().all(|(known, _)| known != *name)) {
        Some(tensor) => Err(ExportError::Surplus { tensor: tensor.clone() }),
        None => Ok(()),
    }
}

/// Factors that weights are multiplied by on their way into a layout.
struct Factors {
    embedding: f32,
    output: f32,
    head: f32,
}

impl Factors {
    fn of(format: Format, model: &ModelSpec) -> Self {
        match format {
            Format::Granite | Format::MiniCpm => Self { embedding: 1.0, output: 1.0, head: 1.0 },
            Format::Llama => Self {
                embedding: model.tensor_program.scale_emb as f32,
                output: model.residual_scale() as f32,
                head: (1.0 / model.width_ratio()) as f32,
            },
        }
    }
}

fn tensors<'a>(snapshot: &'a Snapshot, format: Format, model: &ModelSpec) -> Vec<(String, Piece<'a>)> {
    let factors = Factors::of(format, model);
    let ours = |name: &str| &snapshot.weights()[name];
    let mut all = vec![
        (THEIR_EMBEDDING.to_owned(), Piece::whole(ours(EMBEDDING), factors.embedding)),
        (THEIR_NORM.to_owned(), Piece::whole(ours(NORM), 1.0)),
    ];
    for block in (0..model.shape.n_layers).map(BlockNames::of) {
        let gain = |(here, there): &(&str, &str)| (block.theirs(there), Piece::whole(ours(&block.ours(here)), 1.0));
        all.extend(GAINS.iter().map(gain));
        for packed in matrices(Widths::of(model)) {
            let factor = if packed.is_output { factors.output } else { 1.0 };
            let mut start = 0;
            for (name, width) in packed.theirs {
                let piece = Piece::columns(ours(&block.ours(packed.ours)), start, width, factor);
                all.push((block.theirs(name), piece));
                start += width;
            }
        }
    }
    let own_head = (!model.tied).then_some(HEAD);
    // The head and the embedding cannot share a table if their factors differ.
    if let Some(head) = own_head.or((format == Format::Llama).then_some(EMBEDDING)) {
        all.push((THEIR_HEAD.to_owned(), Piece::whole(ours(head), factors.head)));
    }
    all
}

/// A tensor of the layout, made from part of a checkpoint's tensor when it is written.
#[derive(Debug, Clone)]
struct Piece<'a> {
    from: &'a HostTensor,
    take: Take,
    shape: Vec<usize>,
    factor: f32,
}

#[derive(Debug, Clone, Copy)]
enum Take {
    Whole,
    /// Columns from this index on, transposed to rows.
    Columns(usize),
}

impl<'a> Piece<'a> {
    fn whole(from: &'a HostTensor, factor: f32) -> Self {
        Self { from, take: Take::Whole, shape: from.shape.clone(), factor }
    }

    /// # Shapes
    /// - `from`: `[rows, columns]`; the piece: `[width, rows]`.
    fn columns(from: &'a HostTensor, start: usize, width: usize, factor: f32) -> Self {
        Self { from, take: Take::Columns(start), shape: vec![width, from.shape[0]], factor }
    }
}

impl View for &Piece<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        let mut push = |value: f32| bytes.extend_from_slice(&(value * self.factor).to_le_bytes());
        match self.take {
            Take::Whole => self.from.values.iter().copied().for_each(&mut push),
            Take::Columns(start) => {
                let columns = self.from.shape[1];
                for column in start..start + self.shape[0] {
                    self.from.values.iter().skip(column).step_by(columns).copied().for_each(&mut push);
                }
            }
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

fn tokenizer_config(tokenizer: &TokenizerFile, description: &Description) -> Value {
    let end = token_text(tokenizer);
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": description.context,
        "clean_up_tokenization_spaces": false,
        "bos_token": end,
        "eos_token": end,
    })
}

/// Text of the end-of-document token, as the tokenizer spells it.
fn token_text(tokenizer: &TokenizerFile) -> Option<String> {
    let tokenizer_json: Value = serde_json::from_str(&tokenizer.json).ok()?;
    let added = tokenizer_json["added_tokens"].as_array()?;
    let token = added.iter().find(|token| token["id"] == tokenizer.end_of_document)?;
    token["content"].as_str().map(str::to_owned)
}
