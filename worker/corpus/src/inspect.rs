//! Describes a dataset to people who want to know what they train on.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use vocabulary::{Dataset, Dropped};

use crate::dataset::{OpenDataset, OpenError};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// What a loss is measured on: the part of a held-out text that comes first in the order of measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Name of the domain; `None` for the only text of a dataset without domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Documents measured, blocks of long ones counted singly. The last may be cut short.
    pub documents: u64,
    /// Documents held out.
    pub of_documents: u64,
    /// Tokens measured.
    pub tokens: u64,
    /// Tokens held out.
    pub of_tokens: u64,
    /// Of each source, what is measured. Sources of which nothing is held out are left out.
    pub sources: Vec<SourceShare>,
}

/// What of a source's held-out text is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceShare {
    /// The source, as the dataset describes it.
    pub source: String,
    /// Tokens measured.
    pub tokens: u64,
    /// Tokens held out.
    pub of_tokens: u64,
}

/// What a loss over `tokens` held-out tokens is measured on, for each domain in order; empty for datasets of earlier
/// versions, which do not say. More tokens than are held out count as all of them.
#[must_use]
pub fn samples(data: &OpenDataset, tokens: u64) -> Vec<Sample> {
    let dataset = &data.manifest().dataset;
    let of = |part: usize| {
        let documents = data.held_out_documents(part)?;
        let mut sample = Sample {
            domain: dataset.domains.get(part).map(|domain| domain.name.clone()),
            documents: 0,
            of_documents: documents.len() as u64,
            tokens: 0,
            of_tokens: 0,
            sources: Vec::new(),
        };
        let mut shares: BTreeMap<u32, [u64; 2]> = BTreeMap::new();
        for document in documents {
            // The first token of a document is predicted from the one before it.
            let measured = (tokens + 1).saturating_sub(document.at).min(document.tokens);
            sample.documents += u64::from(measured > 0);
            sample.tokens += measured;
            sample.of_tokens += document.tokens;
            let share = shares.entry(document.source).or_default();
            share[0] += measured;
            share[1] += document.tokens;
        }
        let named = |(source, [tokens, of_tokens]): (u32, [u64; 2])| {
            let source = dataset.sources.get(source as usize).cloned().unwrap_or_default();
            SourceShare { source, tokens, of_tokens }
        };
        sample.sources = shares.into_iter().map(named).collect();
        Some(sample)
    };
    (0..data.parts()).filter_map(of).collect()
}

/// What to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InspectOptions {
    /// Number of excerpts of the training text per domain, evenly spread.
    pub samples: usize,
    /// Tokens per excerpt.
    pub sample_tokens: usize,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self { samples: 3, sample_tokens: 64 }
    }
}

/// A dataset in figures and excerpts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The part that a plan needs.
    pub dataset: Dataset,
    /// Training documents.
    pub train_documents: u64,
    /// Held-out documents.
    pub validation_documents: u64,
    /// What deduplication removed.
    pub dropped: Dropped,
    /// Mean bytes of text per training token.
    pub bytes_per_token: f64,
    /// Excerpts of the training text, decoded from tokens.
    pub samples: Vec<String>,
}

/// A dataset that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("cannot open the dataset")]
    Open(#[source] OpenError),
    #[error("cannot read the dataset's tokenizer")]
    Read(#[source] std::io::Error),
    #[error("cannot use the dataset's tokenizer")]
    Tokenizer(#[source] TokenizerError),
}

/// Describes the dataset in a directory, after verifying all its files.
///
/// # Errors
/// Fails if the directory is not a complete dataset.
pub fn inspect(dir: &Path, options: &InspectOptions) -> Result<Inspection, InspectError> {
    let data = OpenDataset::open(dir).map_err(InspectError::Open)?;
    data.verify().map_err(InspectError::Open)?;
    let manifest = data.manifest();
    let json = std::fs::read_to_string(dir.join(&manifest.tokenizer.name)).map_err(InspectError::Read)?;
    let tokenizer = Tokenizer::from_json(json).map_err(InspectError::Tokenizer)?;
    let tokens = manifest.dataset.train_tokens;
    // From each domain, if there are several.
    let places = (0..data.parts()).flat_map(|part| (0..options.samples as u64).map(move |number| (part, number)));
    let samples = places.map(|(part, number)| {
        let tokens = data.train_tokens(part);
        let start = 1 + (u128::from(tokens) * u128::from(number) / options.samples as u128) as u64;
        let count = (tokens + 1).saturating_sub(start).min(options.sample_tokens as u64) as usize;
        let mut sample = Vec::with_capacity(count);
        data.read_train(part, start, count, &mut sample);
        tokenizer.decode(&sample).map_err(InspectError::Tokenizer)
    });
    Ok(Inspection {
        samples: samples.collect::<Result<_, _>>()?,
        train_documents: manifest.splits().map(|(train, _)| train.documents).sum(),
        validation_documents: manifest.splits().map(|(_, held_out)| held_out.documents).sum(),
        dropped: manifest.dropped,
        bytes_per_token: manifest.dataset.train_bytes as f64 / tokens as f64,
        dataset: data.dataset(),
    })
}
