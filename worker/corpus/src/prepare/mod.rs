//! Prepares a dataset from sources, once.
//!
//! A preparation has two keys. The exact key hashes the request and the content of every source file; the quick key
//! replaces content by names, sizes and modification times, so that the files need not be read at all. Both lead to the
//! same entry below `prepared/`, which names the dataset.
//!
//! A corpus is read as a stream, twice if a tokenizer has to be trained. What is in memory at any time are a few batches of
//! documents, and 16 bytes of each document to recognise duplicates by.

mod cut;
mod documents;
mod index;
mod passes;
mod sample;

use std::io;
use std::path::{Path, PathBuf};

use recipes::Recipe;
use vocabulary::{Dataset, Dropped};

use crate::dataset::{DatasetWriter, OpenDataset, WriteError};
use crate::extract::ExtractError;
use crate::progress::ProgressSink;
use crate::sources::{self, LeftOut, Limits, Source, SourceError};
use crate::tokenizer::{Tokenizer, TokenizerError};
use documents::{Reading, Seen};
use index::{Entry, Index};

/// The key of a document in JSON Lines and Parquet, unless a request says otherwise.
pub const TEXT_KEY: &str = "text";

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
    /// A file's content, and the tokenizer that it makes.
    Given(String, Box<Tokenizer>),
}

impl Vocabulary {
    fn of(choice: &TokenizerChoice) -> Result<Self, PrepareError> {
        let given = |json: String| -> Result<Self, TokenizerError> {
            let tokenizer = Tokenizer::from_json(json.clone())?;
            Ok(Self::Given(json, Box::new(tokenizer)))
        };
        match choice {
            TokenizerChoice::Train { vocab } => Ok(Self::Entries(*vocab)),
            TokenizerChoice::Json(json) => given(json.clone()).map_err(PrepareError::Tokenizer),
            TokenizerChoice::File(path) => given(read_json(path)?).map_err(|error| match error {
                TokenizerError::Parse { reason } => not_a_tokenizer(path, &reason),
                error => PrepareError::Tokenizer(error),
            }),
        }
    }

    /// The tokenizer, if it was given.
    fn tokenizer(&self) -> Option<&Tokenizer> {
        match self {
            Self::Entries(_) => None,
            Self::Given(_, tokenizer) => Some(tokenizer),
        }
    }
}

/// The text of a `tokenizer.json`.
fn read_json(path: &Path) -> Result<String, PrepareError> {
    if path.is_dir() {
        let is_there = path.join("tokenizer.json").is_file();
        let problem = if is_there { "it is a folder; name the file in it" } else { "it is a folder without one" };
        return Err(not_a_tokenizer(path, problem));
    }
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => not_a_tokenizer(path, "there is no such file, and nothing is downloaded"),
        _ => PrepareError::Read { path: path.to_path_buf(), source },
    })?;
    String::from_utf8(bytes).map_err(|_| not_a_tokenizer(path, "it is not text, but perhaps a SentencePiece model"))
}

fn not_a_tokenizer(path: &Path, problem: &str) -> PrepareError {
    PrepareError::TokenizerFile { path: path.to_path_buf(), problem: problem.to_owned() }
}

/// A text to prepare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextRequest {
    /// Name of the domain; `None` for the only text of a dataset without domains.
    pub domain: Option<String>,
    /// Paths, directories, globs or names, as a recipe has them.
    pub sources: Vec<String>,
    /// The key of a document in JSON Lines, and the column in Parquet, if it is not [`TEXT_KEY`].
    pub text_key: Option<String>,
}

impl TextRequest {
    pub(crate) fn text_key(&self) -> &str {
        self.text_key.as_deref().unwrap_or(TEXT_KEY)
    }
}

/// What to prepare.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareRequest {
    /// The only text, or one per domain.
    pub texts: Vec<TextRequest>,
    /// Start of relative paths: the recipe's directory.
    pub base_dir: PathBuf,
    pub tokenizer: TokenizerChoice,
    /// Fraction of the documents held out. At 1, nothing is trained on, which requires an existing tokenizer.
    pub validation_fraction: f64,
    /// Selects which documents are held out.
    pub split_seed: u64,
    /// Stop reading after this many bytes of text.
    pub max_bytes: Option<u64>,
    /// Directory of all datasets.
    pub datasets_dir: PathBuf,
    /// Bounds on what a source may match.
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
        let text = |domain: Option<&String>, sources: &Vec<String>, key: Option<&String>| TextRequest {
            domain: domain.cloned(),
            sources: sources.clone(),
            text_key: key.or(data.text_key.as_ref()).cloned(),
        };
        let one = data.sources.iter().map(|sources| text(None, sources, None));
        let several = data.domains.iter().flatten();
        let several = several.map(|domain| text(Some(&domain.name), &domain.sources, domain.text_key.as_ref()));
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
    /// What this preparation dropped of its text. Another one may have led to the same dataset.
    pub dropped: Dropped,
    /// What its sources hold that is not read.
    pub left_out: LeftOut,
    /// What else people should know, as sentences.
    pub notes: Vec<String>,
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
    /// No line or row of a source has a text under the key.
    #[error("source `{source_name}`: nothing has a text under \"{key}\"; name the key with `text_key`. It has {keys}")]
    NoSuchKey {
        /// The source, for people.
        source_name: String,
        /// The key asked for.
        key: String,
        /// The keys that are there, each with the kind of its value.
        keys: String,
    },
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
    /// The file is not a `tokenizer.json`.
    #[error(
        "`{}` cannot be used as a tokenizer: {problem}. A tokenizer.json is needed, as `save_pretrained` of a fast \
         tokenizer of transformers writes it",
        path.display()
    )]
    TokenizerFile {
        path: PathBuf,
        /// What it is instead, as a clause.
        problem: String,
    },
    /// The tokenizer cannot be read, trained or used.
    #[error("cannot use the tokenizer")]
    Tokenizer(#[source] TokenizerError),
    #[error("cannot write the dataset")]
    Write(#[source] WriteError),
}

/// Prepares a dataset, or finds an existing one that is intact. The result depends only on the text and the request: not on
/// the machine, the number of threads, or earlier preparations.
///
/// # Errors
/// Fails if a source cannot be used, a split would be empty, or the directory cannot be written.
pub fn prepare(request: &PrepareRequest, progress: ProgressSink<'_>) -> Result<Prepared, PrepareError> {
    let Search { sources, vocabulary, index, quick, exact, seen } = match look_up(request, Content::Verified, progress)?
    {
        Looked::Found(found) => return Ok(*found),
        Looked::Missing(search) => *search,
    };
    let reading = Reading {
        texts: &request.texts,
        sources: &sources,
        seen: &seen,
        max_bytes: request.max_bytes,
        tokenizer: vocabulary.tokenizer(),
    };
    let trained;
    let (tokenizer, total) = match &vocabulary {
        Vocabulary::Entries(vocab) => {
            trained = passes::train(request, &reading, *vocab, progress)?;
            (&trained.0, trained.1)
        }
        Vocabulary::Given(_, tokenizer) => {
            (&**tokenizer, sources.iter().flat_map(|source| &source.files).map(|file| file.bytes).sum())
        }
    };
    let mut writer = DatasetWriter::new(&request.datasets_dir, tokenizer).map_err(PrepareError::Write)?;
    let domains: Vec<&str> = request.texts.iter().filter_map(|text| text.domain.as_deref()).collect();
    if !domains.is_empty() {
        writer = writer.with_domains(&domains);
    }
    let dropped = passes::write(request, &reading, tokenizer, total, &mut writer, progress)?;
    let left_out = left_out(&sources);
    let descriptions = descriptions(request, sources);
    let (dataset, dir) = writer.finish(descriptions, dropped).map_err(PrepareError::Write)?;
    let entry = Entry { dataset, dropped: Some(dropped), notes: tokenizer.notes().to_vec() };
    remember(&index, quick.as_deref().into_iter().chain([exact.as_str()]), &entry)?;
    let Entry { dataset, notes, .. } = entry;
    Ok(Prepared { dataset, dir, found: false, dropped, left_out, notes })
}

/// Finds the dataset of a request if it is prepared already. Never writes a dataset, and does not read one.
///
/// # Errors
/// Fails if a source cannot be used.
pub fn find_prepared(request: &PrepareRequest, progress: ProgressSink<'_>) -> Result<Option<Prepared>, PrepareError> {
    Ok(match look_up(request, Content::Taken, progress)? {
        Looked::Found(found) => Some(*found),
        Looked::Missing(_) => None,
    })
}

/// What is asked of a dataset that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Its files have the right sizes.
    Taken,
    /// They have the right content, too.
    Verified,
}

/// The result of looking for a dataset.
enum Looked {
    Found(Box<Prepared>),
    Missing(Box<Search>),
}

/// What the search learnt, for the preparation of a missing dataset.
struct Search {
    sources: Vec<Source>,
    vocabulary: Vocabulary,
    index: Index,
    quick: Option<String>,
    exact: String,
    seen: Vec<Seen>,
}

fn look_up(request: &PrepareRequest, content: Content, progress: ProgressSink<'_>) -> Result<Looked, PrepareError> {
    let names: Vec<String> = request.texts.iter().flat_map(|text| text.sources.iter().cloned()).collect();
    let sources = sources::resolve(&names, &request.base_dir, &request.limits).map_err(PrepareError::Sources)?;
    let vocabulary = Vocabulary::of(&request.tokenizer)?;
    let index = Index::new(&request.datasets_dir);
    let settings = index::settings(request, &sources, &vocabulary);
    let quick = index::quick_key(&settings, &sources)?;
    let find = |key: &str| find(&index, key, request, content, &sources);
    if let Some((found, _)) = quick.as_deref().and_then(find) {
        return Ok(Looked::Found(Box::new(found)));
    }
    let seen = documents::hash_files(&sources, progress)?;
    let exact = index::exact_key(&settings, seen.iter().map(|seen| &seen.hash));
    if let Some((found, entry)) = find(&exact) {
        remember(&index, quick.as_deref().into_iter(), &entry)?;
        return Ok(Looked::Found(Box::new(found)));
    }
    Ok(Looked::Missing(Box::new(Search { sources, vocabulary, index, quick, exact, seen })))
}

/// What all sources together hold that is not read.
fn left_out(sources: &[Source]) -> LeftOut {
    let mut all = LeftOut::default();
    sources.iter().for_each(|source| all.merge(source.left_out.clone()));
    all
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

/// The dataset of an entry, if it still exists and its files are what is asked for.
fn find(
    index: &Index,
    key: &str,
    request: &PrepareRequest,
    content: Content,
    sources: &[Source],
) -> Option<(Prepared, Entry)> {
    let entry = index.get(key)?;
    let dir = request.datasets_dir.join(entry.dataset.id.to_string());
    let open = OpenDataset::open(&dir).ok()?;
    if content == Content::Verified
        && let Err(error) = open.verify()
    {
        tracing::warn!(error = vocabulary::text::one_line(&error), "preparing the dataset again");
        return None;
    }
    (open.dataset().id == entry.dataset.id).then(|| {
        // Entries of earlier versions do not say what they dropped; the dataset knows of its first preparation.
        let dropped = entry.dropped.unwrap_or(open.manifest().dropped);
        let (dataset, notes) = (entry.dataset.clone(), entry.notes.clone());
        (Prepared { dataset, dir, found: true, dropped, left_out: left_out(sources), notes }, entry)
    })
}

fn remember<'a>(index: &Index, keys: impl Iterator<Item = &'a str>, entry: &Entry) -> Result<(), PrepareError> {
    for key in keys {
        index.put(key, entry).map_err(PrepareError::Write)?;
    }
    Ok(())
}
