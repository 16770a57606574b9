//! A prepared dataset: a directory of token shards, their tokenizer and a manifest.

mod manifest;
mod shard;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::hash::ContentHash;
use shard::{Shard, Tokens};
use vocabulary::{Dataset, DatasetId, MAX_DOMAINS};

pub use manifest::{DomainEntry, FORMAT_VERSION, FileEntry, MANIFEST, Manifest, ShardEntry, SplitEntry};
pub use writer::{DatasetWriter, WriteError, write_domains, write_texts};

pub(crate) use writer::write_atomically;

/// A manifest larger than this is not one.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// Why a dataset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file is absent or cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is not JSON of the right shape.
    #[error("`{}` is not the manifest of a dataset", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Another program wrote it.
    #[error("`{}` has format version {found}, but this program reads {FORMAT_VERSION}", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The files are not those of the manifest.
    #[error("`{}` is damaged: {problem}; delete its directory to have it prepared again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A dataset, mapped into memory.
#[derive(Debug)]
pub struct OpenDataset {
    dir: PathBuf,
    manifest: Manifest,
    /// The domains; one where there are none.
    parts: Vec<Part>,
    token_bytes: Vec<u16>,
}

/// A domain's tokens, or all of them.
#[derive(Debug)]
struct Part {
    train: Tokens,
    validation: Tokens,
}

impl Part {
    /// Tokens that are predicted from those before them, in either split.
    fn predicted(&self) -> (u64, u64) {
        (self.train.len().saturating_sub(1), self.validation.len().saturating_sub(1))
    }
}

impl OpenDataset {
    /// Opens a directory. Sizes are checked, contents are not: that is [`OpenDataset::verify`].
    ///
    /// # Errors
    /// A directory that is not a whole dataset.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let manifest = read_manifest(dir)?;
        for file in manifest.files() {
            let path = dir.join(&file.name);
            if Path::new(&file.name).file_name().is_none_or(|name| name != file.name.as_str()) {
                return Err(damaged(&dir.join(MANIFEST), "it names a file outside its directory"));
            }
            let size = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
            if size != file.bytes {
                return Err(damaged(&path, format!("it has {size} bytes, not {}", file.bytes)));
            }
        }
        let tokens = |split: &SplitEntry| {
            let shards = split.shards.iter().map(|shard| open_shard(dir, shard)).collect::<Result<_, _>>()?;
            Ok(Tokens::new(shards))
        };
        let part = |(train, validation)| Ok(Part { train: tokens(train)?, validation: tokens(validation)? });
        let parts: Vec<Part> = manifest.splits().map(part).collect::<Result<_, OpenError>>()?;
        if !adds_up(&manifest, &parts) {
            return Err(damaged(&dir.join(MANIFEST), "its shards do not add up to its tokens"));
        }
        let path = dir.join(&manifest.token_bytes.name);
        let lengths = Shard::open(&path).map_err(unreadable(&path))?;
        let mut numbers = Vec::new();
        lengths.read(0..lengths.len(), &mut numbers);
        let token_bytes: Vec<u16> = numbers.into_iter().filter_map(|bytes| u16::try_from(bytes).ok()).collect();
        if token_bytes.len() != manifest.dataset.vocab as usize {
            return Err(damaged(&path, format!("it is not about {} tokens", manifest.dataset.vocab)));
        }
        Ok(Self { dir: dir.to_path_buf(), manifest, parts, token_bytes })
    }

    /// What a plan needs to know.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.manifest.dataset.clone()
    }

    /// What the directory holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads every file and compares it with its hash, and the whole with the identifier.
    ///
    /// # Errors
    /// The first file that is not what it was.
    pub fn verify(&self) -> Result<(), OpenError> {
        for file in self.manifest.files() {
            let path = self.dir.join(&file.name);
            let mut hasher = blake3::Hasher::new();
            let opened = File::open(&path).map_err(unreadable(&path))?;
            hasher.update_reader(opened).map_err(unreadable(&path))?;
            if ContentHash::from(hasher.finalize()) != file.blake3 {
                return Err(damaged(&path, "its content is not what its hash says"));
            }
        }
        let (found, expected): (DatasetId, _) = (self.manifest.content_id(), self.manifest.dataset.id);
        if found != expected {
            return Err(damaged(
                &self.dir.join(MANIFEST),
                format!("its files are those of {found}, not of {expected}"),
            ));
        }
        Ok(())
    }

    /// Domains, or one where there are none.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Tokens to train on, of a domain.
    pub(crate) fn train_tokens(&self, part: usize) -> u64 {
        self.parts[part].predicted().0
    }

    /// Tokens held out, of a domain.
    pub(crate) fn validation_tokens(&self, part: usize) -> u64 {
        self.parts[part].predicted().1
    }

    /// Tokens of what is trained on of a domain, from `start` on.
    pub(crate) fn read_train(&self, part: usize, start: u64, count: usize, into: &mut Vec<u32>) {
        self.parts[part].train.read(start, count, into);
    }

    /// Tokens of what is held out of a domain, from `start` on.
    pub(crate) fn read_validation(&self, part: usize, start: u64, count: usize, into: &mut Vec<u32>) {
        self.parts[part].validation.read(start, count, into);
    }

    /// Bytes of text a token stands for; none for one that is not of the vocabulary.
    pub(crate) fn bytes_of(&self, token: u32) -> u64 {
        self.token_bytes.get(token as usize).copied().map_or(0, u64::from)
    }
}

/// Whether the shards are as long as the manifest says, of each domain and of all together.
fn adds_up(manifest: &Manifest, parts: &[Part]) -> bool {
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).try_fold(0_u64, u64::checked_add);
    let dataset = &manifest.dataset;
    let whole = sum(|part| part.predicted().0) == Some(dataset.train_tokens)
        && sum(|part| part.predicted().1) == Some(dataset.validation_tokens);
    let each = dataset.domains.iter().map(|domain| (domain.train_tokens, domain.validation_tokens));
    let same_domains = dataset.domains.len() == manifest.domains.len() && dataset.domains.len() <= MAX_DOMAINS;
    whole && same_domains && each.zip(parts).all(|(expected, part)| part.predicted() == expected)
}

fn read_manifest(dir: &Path) -> Result<Manifest, OpenError> {
    let path = dir.join(MANIFEST);
    let size = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
    if size > MAX_MANIFEST_BYTES {
        return Err(damaged(&path, format!("{size} bytes are too many for a manifest")));
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|source| OpenError::Manifest { path: path.clone(), source })?;
    match manifest.format_version {
        FORMAT_VERSION => Ok(manifest),
        found => Err(OpenError::Version { path, found }),
    }
}

fn open_shard(dir: &Path, entry: &ShardEntry) -> Result<Shard, OpenError> {
    let path = dir.join(&entry.file.name);
    let shard = Shard::open(&path).map_err(unreadable(&path))?;
    if shard.len() as u64 == entry.tokens {
        Ok(shard)
    } else {
        Err(damaged(&path, format!("it has {} tokens, not {}", shard.len(), entry.tokens)))
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Read { path, source }
}

fn damaged(path: &Path, problem: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), problem: problem.into() }
}
