//! Imports a folder that `transformers` wrote, or could have written, as a checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trainer::{Description, HostTensor, Snapshot};

use crate::config::{self, ConfigError, Read};
use crate::export::CONFIG;
use crate::format::Format;
use crate::layout::{
    BlockNames, EMBEDDING, GAINS, HEAD, NORM, Packed, THEIR_EMBEDDING, THEIR_HEAD, THEIR_NORM, Widths, matrices,
};
pub use crate::source::SourceError;
use crate::source::{Files, Tensors, read_file};

/// A folder that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The configuration does not describe a MiniCPM model.
    #[error("{path} does not describe a MiniCPM model")]
    Config {
        path: PathBuf,
        #[source]
        source: ConfigError,
    },
    /// The tensors do not match the configuration.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// An imported checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The layout it was in.
    pub format: Format,
    /// Weights without optimiser state, at step 0.
    pub snapshot: Snapshot,
    /// What the folder held that was not taken over as it is, as sentences for people.
    pub notes: Vec<String>,
}

/// Imports a model's folder. 16-bit numbers are widened to 32 bits; a multiplier without a counterpart in Windtunnel is
/// folded into the weights it multiplies.
pub fn import(dir: &Path) -> Result<Imported, ImportError> {
    let path = dir.join(CONFIG);
    let read = config::read(&read_file(&path)?).map_err(|source| ImportError::Config { path, source })?;
    let files = Files::read(dir)?;
    let (tensors, of_files) = files.tensors()?;
    let mut notes: Vec<String> = read.note.into_iter().map(str::to_owned).chain(of_files).collect();
    let weights = weights(tensors, &read, &mut notes)?;
    let description = Description { model: read.model, dataset: None, context: read.context };
    Ok(Imported { format: read.format, snapshot: Snapshot::of_weights(description, weights), notes })
}

fn weights(
    mut tensors: Tensors<'_>,
    read: &Read,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, HostTensor>, SourceError> {
    let Read { model, query_factor, norm_factor, .. } = read;
    let widths = Widths::of(model);
    let table = [widths.vocab, widths.d_model];
    let mut all = BTreeMap::new();
    let tensor = |shape: &[usize], values| HostTensor { shape: shape.to_vec(), values };

    let embedding = tensors.take(THEIR_EMBEDDING, &table)?;
    if model.tied
        && let Some(head) = tensors.take_spare(THEIR_HEAD)
        && head != embedding
    {
        let differing = head.iter().zip(&embedding).filter(|(head, embedding)| head != embedding).count();
        notes.push(format!(
            "{THEIR_HEAD} is not the embedding ({differing} of {} values differ), but the configuration ties them: it was \
             left out, as transformers does; set tie_word_embeddings to false to keep it",
            embedding.len()
        ));
    }
    all.insert(EMBEDDING.to_owned(), tensor(&table, embedding));
    let mut norm = tensors.take(THEIR_NORM, &table[1..])?;
    scale(&mut norm, *norm_factor);
    all.insert(NORM.to_owned(), tensor(&table[1..], norm));
    if !model.tied {
        all.insert(HEAD.to_owned(), tensor(&table, tensors.take(THEIR_HEAD, &table)?));
    }
    for block in (0..model.shape.n_layers).map(BlockNames::of) {
        for (here, there) in GAINS {
            let values = tensors.take(&block.theirs(there), &table[1..])?;
            all.insert(block.ours(here), tensor(&table[1..], values));
        }
        for packed in matrices(widths) {
            let mut values = Vec::with_capacity(packed.theirs.len());
            for (name, width) in &packed.theirs {
                values.push((tensors.take(&block.theirs(name), &[*width, packed.from])?, *width));
            }
            if packed.ours == "attention.qkv" {
                scale(&mut values[0].0, *query_factor);
            }
            all.insert(block.ours(packed.ours), side_by_side(&packed, &values));
        }
    }
    // Old files also store the rotary embedding's frequencies.
    tensors.expect_no_more(|name| name.ends_with(".rotary_emb.inv_freq"))?;
    Ok(all)
}

fn scale(values: &mut [f32], factor: f32) {
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Transposes matrices and concatenates them along their second axis.
///
/// # Shapes
/// - each part: `[width, from]`, with its width; returns `[from, sum of widths]`.
fn side_by_side(packed: &Packed, parts: &[(Vec<f32>, usize)]) -> HostTensor {
    let (from, to) = (packed.from, packed.to());
    let mut values = Vec::with_capacity(from * to);
    for row in 0..from {
        for (part, _) in parts {
            values.extend(part.iter().skip(row).step_by(from));
        }
    }
    HostTensor { shape: vec![from, to], values }
}
