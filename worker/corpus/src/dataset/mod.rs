//! A prepared dataset: a directory with token shards, their tokenizer and a manifest.

mod hashes;
mod held_out;
mod shard;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use held_out::Order;
use shard::{Shard, Tokens};
use vocabulary::{Dataset, DatasetId, MAX_DOMAINS};

pub use held_out::HeldOutDocument;
pub use vocabulary::dataset_manifest::{
    DatasetManifest as Manifest, DomainEntry, FORMAT_VERSION, FileEntry, MANIFEST, ShardEntry, SplitEntry,
};
pub use writer::{DatasetWriter, WriteError, write_domains, write_texts};

pub(crate) use held_out::Placed;
pub(crate) use shard::Header;
pub(crate) use writer::write_atomically;

/// Larger files are rejected unread.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// A dataset that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file is absent or unreadable.
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The manifest is not valid JSON, or lacks fields.
    #[error("`{}` is not the manifest of a dataset", path.display())]
    Manifest {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The layout is of another version.
    #[error("`{}` has format version {found}, but this program reads {FORMAT_VERSION}", path.display())]
    Version {
        /// Path of the manifest.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// The files do not match the manifest.
    #[error("`{}` is damaged: {problem}; delete its directory to have it prepared again", path.display())]
    Damaged {
        path: PathBuf,
        /// The mismatch, as a clause.
        problem: String,
    },
}

/// A dataset, mapped into memory.
#[derive(Debug)]
pub struct OpenDataset {
    dir: PathBuf,
    manifest: Manifest,
    /// One per domain; a single one without domains.
    parts: Vec<Part>,
    token_bytes: Vec<u16>,
}

/// The mapped tokens of a domain, or of the whole corpus.
#[derive(Debug)]
struct Part {
    train: Tokens,
    validation: Tokens,
    /// The order in which held-out documents are measured; `None` in datasets of earlier versions, where it is that of the
    /// shards.
    order: Option<Order>,
}

impl Part {
    /// Number of tokens that have a predecessor to predict them from, per split.
    fn predicted(&self) -> (u64, u64) {
        (self.train.len().saturating_sub(1), self.validation.len().saturating_sub(1))
    }
}

impl OpenDataset {
    /// Opens a directory. Checks the sizes of its files but not their contents; [`OpenDataset::verify`] does.
    ///
    /// # Errors
    /// Fails if the directory is not a complete dataset.
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
        let part = |(train, validation): (&SplitEntry, &SplitEntry)| {
            let (train, held_out) = (tokens(train)?, tokens(validation)?);
            let order = validation.index.as_ref().map(|file| open_index(dir, file, held_out.len())).transpose()?;
            Ok(Part { train, validation: held_out, order })
        };
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

    /// The part that a plan needs.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.manifest.dataset.clone()
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Checks the hash of every file, and the dataset's identifier. A file that has not changed since this process hashed
    /// it is not read again.
    ///
    /// # Errors
    /// Fails if the content of a file has changed.
    pub fn verify(&self) -> Result<(), OpenError> {
        let files: Vec<&FileEntry> = self.manifest.files().collect();
        files.par_iter().try_for_each(|file| {
            let path = self.dir.join(&file.name);
            if hashes::hash_of(&path).map_err(unreadable(&path))? != file.blake3 {
                return Err(damaged(&path, "its content is not what its hash says"));
            }
            Ok(())
        })?;
        let (found, expected): (DatasetId, _) = (self.manifest.content_id(), self.manifest.dataset.id);
        if found != expected {
            return Err(damaged(
                &self.dir.join(MANIFEST),
                format!("its files are those of {found}, not of {expected}"),
            ));
        }
        Ok(())
    }

    /// Like [`Self::verify`], and checks that it is this dataset and not another in its place.
    ///
    /// # Errors
    /// Fails if it is another, or the content of a file has changed.
    pub fn verify_as(&self, id: DatasetId) -> Result<(), OpenError> {
        self.verify()?;
        let found = self.manifest.dataset.id;
        if found == id {
            Ok(())
        } else {
            Err(damaged(&self.dir.join(MANIFEST), format!("it is of {found}, not of {id}")))
        }
    }

    /// Number of domains; 1 without domains.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Training tokens of a domain.
    pub(crate) fn train_tokens(&self, part: usize) -> u64 {
        self.parts[part].predicted().0
    }

    /// Held-out tokens of a domain.
    pub(crate) fn validation_tokens(&self, part: usize) -> u64 {
        self.parts[part].predicted().1
    }

    /// Appends `count` training tokens of a domain, beginning at `start`.
    pub(crate) fn read_train(&self, part: usize, start: u64, count: usize, into: &mut Vec<u32>) {
        self.parts[part].train.read(start, count, into);
    }

    /// Appends `count` held-out tokens of a domain, beginning at `start`, in the order in which they are measured.
    pub(crate) fn read_validation(&self, part: usize, start: u64, count: usize, into: &mut Vec<u32>) {
        let Part { validation, order, .. } = &self.parts[part];
        match order {
            None => validation.read(start, count, into),
            Some(order) => {
                for (start, count) in order.stretches(start, count as u64) {
                    validation.read(start, count as usize, into);
                }
            }
        }
    }

    /// The held-out documents of a domain in the order in which they are measured; `None` in datasets of earlier versions.
    pub(crate) fn held_out_documents(&self, part: usize) -> Option<&[Placed]> {
        self.parts[part].order.as_ref().map(Order::documents)
    }

    /// Bytes of text that a token stands for; 0 outside the vocabulary.
    pub(crate) fn bytes_of(&self, token: u32) -> u64 {
        self.token_bytes.get(token as usize).copied().map_or(0, u64::from)
    }
}

/// Whether the shards are as long as the manifest says, per domain and in total.
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

fn open_index(dir: &Path, file: &FileEntry, tokens: u64) -> Result<Order, OpenError> {
    let path = dir.join(&file.name);
    let index = Shard::open(&path).map_err(unreadable(&path))?;
    Order::of(&index, tokens).ok_or_else(|| damaged(&path, "its documents do not add up to the held-out tokens"))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Read { path, source }
}

fn damaged(path: &Path, problem: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), problem: problem.into() }
}
