//! Prepares a dataset from sources, once.
//!
//! A preparation has two keys. The exact key hashes the request and the content of every source file; the quick key
//! replaces content by names, sizes and modification times, so that the files need not be read at all. Both lead to the
//! same entry below `prepared/`, which names the dataset.

mod cut;
mod documents;
mod index;

use std::io;
use std::path::{Path, PathBuf};

use recipes::Recipe;
use vocabulary::Dataset;

use crate::dataset::{DatasetWriter, OpenDataset, WriteError};
use crate::extract::{Deduplicated, ExtractError, Extracted, deduplicate};
use crate::hash::ContentHash;
use crate::progress::{Progress, ProgressSink};
use crate::sources::{self, Limits, Source, SourceError};
use crate::split::{Piece, Split, pieces_of};
use crate::tokenizer::{Tokenizer, TokenizerError};
use index::{Entry, Index};

/// Documents tokenized between two progress reports.
const DOCUMENTS_AT_ONCE: usize = 512;

/// The tokenizer a dataset shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// Byte-level BPE, trained on the training text.
    Train {
        /// Vocabulary size.
        vocab: u32,
    },
    /// Path of a `tokenizer.json`.
    File(PathBuf),
    /// Content of a `tokenizer.json`.
    Json(String),
}

/// The choice, with the file read.
enum Vocabulary {
    Entries(u32),
    Json(String),
}

impl Vocabulary {
    fn of(choice: &TokenizerChoice) -> Result<Self, PrepareError> {
        match choice {
            TokenizerChoice::Train { vocab } => Ok(Self::Entries(*vocab)),
            TokenizerChoice::Json(json) => Ok(Self::Json(json.clone())),
            TokenizerChoice::File(path) => std::fs::read_to_string(path)
                .map(Self::Json)
                .map_err(|source| PrepareError::Read { path: path.clone(), source }),
        }
    }

    fn tokenizer(self, train: &[&str], progress: ProgressSink<'_>) -> Result<Tokenizer, TokenizerError> {
        match self {
            Self::Json(json) => Tokenizer::from_json(json),
            Self::Entries(vocab) => {
                let bytes = train.iter().map(|text| text.len() as u64).sum();
                progress(Progress::TrainingTokenizer { bytes });
                Tokenizer::train(train, vocab)
            }
        }
    }
}

/// A text to prepare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRequest {
    /// Name of the domain; `None` for the only text of a dataset without domains.
    pub domain: Option<String>,
    /// Paths, globs or names of built-in texts.
    pub sources: Vec<String>,
}

/// A dataset to prepare.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareRequest {
    /// The only text, or one text per domain.
    pub texts: Vec<TextRequest>,
    /// Directory that relative paths start from.
    pub base_dir: PathBuf,
    pub tokenizer: TokenizerChoice,
    /// Fraction of the documents held out, 0 to 1. At 1 none is left to train on, which needs an existing tokenizer.
    pub validation_fraction: f64,
    /// Selects which documents are held out.
    pub split_seed: u64,
    /// Stop reading after this many bytes of text.
    pub max_bytes: Option<u64>,
    /// Directory of all datasets.
    pub datasets_dir: PathBuf,
    /// Bounds on the amount of text.
    pub limits: Limits,
}

impl PrepareRequest {
    /// The request that a recipe makes.
    #[must_use]
    pub fn from_recipe(recipe: &Recipe, datasets_dir: impl Into<PathBuf>) -> Self {
        let data = recipe.data();
        let base_dir = recipe.folder().to_path_buf();
        let tokenizer = match (&data.tokenizer, data.vocab) {
            (Some(path), _) => TokenizerChoice::File(base_dir.join(shellexpand::tilde(path).as_ref())),
            // A recipe has one of the two; the tokenizer refuses zero.
            (None, vocab) => TokenizerChoice::Train { vocab: vocab.unwrap_or(0) },
        };
        let one = data.sources.iter().map(|sources| TextRequest { domain: None, sources: sources.clone() });
        let several = data.domains.iter().flatten();
        let several =
            several.map(|domain| TextRequest { domain: Some(domain.name.clone()), sources: domain.sources.clone() });
        Self {
            texts: one.chain(several).collect(),
            base_dir,
            tokenizer,
            validation_fraction: data.validation_fraction,
            split_seed: data.split_seed,
            max_bytes: data.max_bytes,
            datasets_dir: datasets_dir.into(),
            limits: Limits::default(),
        }
    }
}

/// A dataset on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The part that a plan needs.
    pub dataset: Dataset,
    /// Its directory.
    pub dir: PathBuf,
    /// Whether it existed before.
    pub found: bool,
}

/// A dataset that cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A source cannot be used.
    #[error("cannot use the sources")]
    Sources(#[source] SourceError),
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file was modified during the preparation.
    #[error("`{}` changed while it was being read; try again when nothing writes to it", path.display())]
    Changed { path: PathBuf },
    /// A file's content does not match its extension.
    #[error("cannot extract the text of a file")]
    Extract(#[source] ExtractError),
    /// One of the two splits would be empty.
    #[error(
        "of {} pieces of text{} {trained} are for training and {held_out} are held out, but each \
         part needs at least one: give more text, another validation_fraction or another split_seed \
         (a piece is a document, or about {} kB of one longer than {} kB)",
        trained + held_out,
        domain.as_ref().map(|name| format!(" of the domain `{name}`")).unwrap_or_default(),
        crate::split::BLOCK_BYTES / 1000,
        crate::split::LONG_DOCUMENT_BYTES / 1000
    )]
    EmptySplit {
        /// `None` if the dataset has no domains.
        domain: Option<String>,
        /// Pieces to train on.
        trained: usize,
        /// Held-out pieces.
        held_out: usize,
    },
    /// No document of the text has any.
    #[error("the text is empty: its files hold nothing but white space")]
    NoText,
    /// The tokenizer cannot be read, trained or used.
    #[error("cannot use the tokenizer")]
    Tokenizer(#[source] TokenizerError),
    #[error("cannot write the dataset")]
    Write(#[source] WriteError),
}

/// Prepares a dataset, or finds an existing one. The result depends only on the text and the request: not on the
/// machine, the number of threads, or earlier preparations.
///
/// # Errors
/// Fails if a source cannot be used, a split would be empty, or the directory cannot be written.
pub fn prepare(request: &PrepareRequest, progress: ProgressSink<'_>) -> Result<Prepared, PrepareError> {
    let Search { sources, vocabulary, index, quick, exact, hashes } = match look_up(request, progress)? {
        Looked::Found(found) => return Ok(found),
        Looked::Missing(search) => *search,
    };
    let (extracted, places) = extract_texts(request, &sources, &hashes, progress)?;
    // Deduplicates across all texts: what occurs in two domains stays in the first, so that it is never held out of one
    // and trained on in the other.
    let corpus = deduplicate(extracted);
    let parts = split_texts(request, &corpus, &places)?;
    let train = parts.iter().filter(|part| part.split == Split::Train).flat_map(|part| &part.pieces);
    let train: Vec<&str> = train.map(|(piece, _)| piece.text).collect();
    let tokenizer = vocabulary.tokenizer(&train, progress).map_err(PrepareError::Tokenizer)?;
    let mut writer = DatasetWriter::new(&request.datasets_dir, &tokenizer).map_err(PrepareError::Write)?;
    let domains: Vec<&str> = request.texts.iter().filter_map(|text| text.domain.as_deref()).collect();
    if !domains.is_empty() {
        writer = writer.with_domains(&domains);
    }
    write_documents(&mut writer, &tokenizer, &parts, progress)?;
    let descriptions = descriptions(request, sources);
    let (dataset, dir) = writer.finish(descriptions, corpus.dropped).map_err(PrepareError::Write)?;
    remember(&index, quick.as_deref().into_iter().chain([exact.as_str()]), &dataset)?;
    Ok(Prepared { dataset, dir, found: false })
}

/// Finds the dataset of a request if it is prepared already. Never writes a dataset.
///
/// # Errors
/// Fails if a source cannot be used.
pub fn find_prepared(request: &PrepareRequest, progress: ProgressSink<'_>) -> Result<Option<Prepared>, PrepareError> {
    Ok(match look_up(request, progress)? {
        Looked::Found(found) => Some(found),
        Looked::Missing(_) => None,
    })
}

/// The result of looking for a dataset.
enum Looked {
    Found(Prepared),
    Missing(Box<Search>),
}

/// What the search learnt, for the preparation of a missing dataset.
struct Search {
    sources: Vec<Source>,
    vocabulary: Vocabulary,
    index: Index,
    quick: Option<String>,
    exact: String,
    hashes: Vec<ContentHash>,
}

fn look_up(request: &PrepareRequest, progress: ProgressSink<'_>) -> Result<Looked, PrepareError> {
    let names: Vec<String> = request.texts.iter().flat_map(|text| text.sources.iter().cloned()).collect();
    let sources = sources::resolve(&names, &request.base_dir, &request.limits).map_err(PrepareError::Sources)?;
    let vocabulary = Vocabulary::of(&request.tokenizer)?;
    let index = Index::new(&request.datasets_dir);
    let settings = index::settings(request, &sources, &vocabulary);
    let quick = index::quick_key(&settings, &sources)?;
    if let Some(found) = quick.as_deref().and_then(|key| find(&index, key, request)) {
        return Ok(Looked::Found(found));
    }
    let hashes = documents::hash_files(&sources, progress)?;
    let exact = index::exact_key(&settings, &hashes);
    if let Some(found) = find(&index, &exact, request) {
        remember(&index, quick.as_deref().into_iter(), &found.dataset)?;
        return Ok(Looked::Found(found));
    }
    Ok(Looked::Missing(Box::new(Search { sources, vocabulary, index, quick, exact, hashes })))
}

/// The text and the source that a document is from, by their indices.
#[derive(Debug, Clone, Copy)]
struct Place {
    text: usize,
    /// Among those of all texts.
    source: u32,
}

/// Extracts the documents of every text, each with where it is from.
fn extract_texts(
    request: &PrepareRequest,
    sources: &[Source],
    hashes: &[ContentHash],
    progress: ProgressSink<'_>,
) -> Result<(Vec<Extracted>, Vec<Place>), PrepareError> {
    let (mut rest, mut hashes) = (sources, hashes);
    let (mut extracted, mut places) = (Vec::new(), Vec::new());
    for (text, request_text) in request.texts.iter().enumerate() {
        let first = sources.len() - rest.len();
        let (own, others) = rest.split_at(request_text.sources.len());
        let (own_hashes, other_hashes) = hashes.split_at(own.iter().map(|source| source.files.len()).sum());
        (rest, hashes) = (others, other_hashes);
        for (source, document) in documents::extract_files(own, own_hashes, request.max_bytes, progress)? {
            // A recipe names a few sources.
            places.push(Place { text, source: u32::try_from(first + source).unwrap_or(u32::MAX) });
            extracted.push(document);
        }
    }
    Ok((extracted, places))
}

/// A split of one of the texts.
struct Part<'a> {
    text: usize,
    split: Split,
    /// Each with the index of its source.
    pieces: Vec<(Piece<'a>, u32)>,
}

/// Both splits of every text, in order.
fn split_texts<'a>(
    request: &PrepareRequest,
    corpus: &'a Deduplicated,
    places: &[Place],
) -> Result<Vec<Part<'a>>, PrepareError> {
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(2 * request.texts.len());
    for text in 0..request.texts.len() {
        parts.extend([Split::Train, Split::Validation].map(|split| Part { text, split, pieces: Vec::new() }));
    }
    for (document, origin) in corpus.documents.iter().zip(&corpus.origins) {
        let Place { text, source } = places[*origin];
        for piece in pieces_of(document, request.validation_fraction, request.split_seed) {
            parts[2 * text + usize::from(piece.split == Split::Validation)].pieces.push((piece, source));
        }
    }
    for (text, both) in request.texts.iter().zip(parts.chunks(2)) {
        let (trained, held_out) = (both[0].pieces.len(), both[1].pieces.len());
        // All of it held out is text to evaluate on.
        let wants_train = request.validation_fraction < 1.0;
        if !wants_train && held_out == 0 {
            return Err(PrepareError::NoText);
        }
        if (wants_train && trained == 0) || held_out == 0 {
            return Err(PrepareError::EmptySplit { domain: text.domain.clone(), trained, held_out });
        }
    }
    Ok(parts)
}

/// Describes each source for people, with its domain if there are several.
fn descriptions(request: &PrepareRequest, sources: Vec<Source>) -> Vec<String> {
    let domains = request.texts.iter().flat_map(|text| std::iter::repeat_n(&text.domain, text.sources.len()));
    let described = |(source, domain): (Source, &Option<String>)| match domain {
        Some(domain) => format!("{domain}: {}", source.description),
        None => source.description,
    };
    sources.into_iter().zip(domains).map(described).collect()
}

fn write_documents(
    writer: &mut DatasetWriter<'_>,
    tokenizer: &Tokenizer,
    parts: &[Part<'_>],
    progress: ProgressSink<'_>,
) -> Result<(), PrepareError> {
    let size = |pieces: &[(Piece<'_>, u32)]| pieces.iter().map(|(piece, _)| piece.text.len() as u64).sum::<u64>();
    let total = parts.iter().map(|part| size(&part.pieces)).sum();
    let mut done = 0;
    progress(Progress::Tokenizing { done, total });
    for Part { text, split, pieces } in parts {
        for some in pieces.chunks(DOCUMENTS_AT_ONCE) {
            let texts: Vec<&str> = some.iter().map(|(piece, _)| piece.text).collect();
            let encoded = tokenizer.encode_all(&texts).map_err(PrepareError::Tokenizer)?;
            for ((piece, source), tokens) in some.iter().zip(encoded) {
                match split {
                    Split::Train => writer.push_tokens_to(*text, *split, &tokens),
                    Split::Validation => writer.push_held_out(*text, &tokens, piece.draw, *source),
                }
                .map_err(PrepareError::Write)?;
            }
            done += size(some);
            progress(Progress::Tokenizing { done, total });
        }
    }
    Ok(())
}

/// The dataset of an entry, if it still exists and its files have the right sizes.
fn find(index: &Index, key: &str, request: &PrepareRequest) -> Option<Prepared> {
    let entry = index.get(key)?;
    let dir = request.datasets_dir.join(entry.dataset.id.to_string());
    let open = OpenDataset::open(&dir).ok()?;
    (open.dataset().id == entry.dataset.id).then_some(Prepared { dataset: entry.dataset, dir, found: true })
}

fn remember<'a>(index: &Index, keys: impl Iterator<Item = &'a str>, dataset: &Dataset) -> Result<(), PrepareError> {
    let entry = Entry { dataset: dataset.clone() };
    for key in keys {
        index.put(key, &entry).map_err(PrepareError::Write)?;
    }
    Ok(())
}

/// Reads a file, for either pass.
fn read(path: &Path) -> Result<Vec<u8>, PrepareError> {
    std::fs::read(path).map_err(|source| PrepareError::Read { path: path.to_path_buf(), source })
}
