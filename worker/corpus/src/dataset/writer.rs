//! Writes a dataset to a temporary directory and renames it into place.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use npyz::WriterBuilder;
use vocabulary::{ContentHash, Dataset, DatasetId, Domain, Dropped};

use super::hashes::hash_of;
use super::held_out::{HeldOutDocument, packed};
use super::{DomainEntry, FORMAT_VERSION, FileEntry, MANIFEST, Manifest, OpenDataset, ShardEntry, SplitEntry};
use crate::split::Split;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Tokens per shard.
const SHARD_TOKENS: usize = 1 << 26;
/// Tokens of a split that are held before they are written.
const PENDING_TOKENS: usize = 1 << 16;
/// Prefix of unfinished directories. The dot hides them from code that lists datasets.
const PARTIAL: &str = ".partial-";
/// Leftovers of an interrupted preparation are removed once they are this old.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// A dataset that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("cannot write `{}`; make it writable or choose another data directory", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The tokenizer rejected a text.
    #[error("cannot turn text into tokens")]
    Tokenize(#[source] TokenizerError),
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_path_buf();
    move |source| WriteError::Write { path, source }
}

/// Collects documents into a dataset. Dropping it unfinished removes what it wrote.
#[derive(Debug)]
pub struct DatasetWriter<'a> {
    datasets_dir: PathBuf,
    partial: PathBuf,
    tokenizer: &'a Tokenizer,
    parts: Vec<PartWriter>,
}

/// A domain, or the whole corpus.
#[derive(Debug)]
struct PartWriter {
    domain: Option<String>,
    train: SplitWriter,
    validation: SplitWriter,
}

impl PartWriter {
    /// Starts each split with an end of document, from which the first document's first token is predicted.
    fn new(domain: Option<&str>, end: u32) -> Self {
        let split = |name: &str| {
            SplitWriter::new(domain.map_or_else(|| name.to_owned(), |domain| format!("{domain}-{name}")), end)
        };
        Self { domain: domain.map(str::to_owned), train: split("train"), validation: split("validation") }
    }
}

impl PartWriter {
    fn described(&self) -> Option<Domain> {
        Some(Domain {
            name: self.domain.clone()?,
            train_tokens: self.train.tokens,
            validation_tokens: self.validation.tokens,
            train_bytes: self.train.bytes,
            validation_bytes: self.validation.bytes,
        })
    }
}

#[derive(Debug)]
struct SplitWriter {
    name: String,
    /// Tokens that are not in a file yet.
    pending: Vec<u32>,
    shard: Option<ShardWriter>,
    entry: SplitEntry,
    tokens: u64,
    bytes: u64,
    /// Of a held-out split, what its index says.
    documents: Vec<HeldOutDocument>,
}

impl SplitWriter {
    fn new(name: String, first: u32) -> Self {
        Self {
            name,
            pending: vec![first],
            shard: None,
            entry: SplitEntry::default(),
            tokens: 0,
            bytes: 0,
            documents: Vec::new(),
        }
    }

    /// Moves the pending tokens to files, and finishes those that are full.
    fn flush(&mut self, dir: &Path, vocab: u32) -> Result<(), WriteError> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let shard = match &mut self.shard {
                Some(shard) => shard,
                None => {
                    let name = format!("{}-{:05}.npy", self.name, self.entry.shards.len());
                    self.shard.insert(ShardWriter::new(dir, name, vocab)?)
                }
            };
            let (some, others) = rest.split_at(rest.len().min(SHARD_TOKENS - shard.len as usize));
            shard.write(some)?;
            rest = others;
            if shard.len as usize == SHARD_TOKENS {
                self.finish_shard()?;
            }
        }
        Ok(())
    }

    fn finish_shard(&mut self) -> Result<(), WriteError> {
        if let Some(shard) = self.shard.take() {
            self.entry.shards.push(shard.finish()?);
        }
        Ok(())
    }
}

impl<'a> DatasetWriter<'a> {
    /// Starts a dataset below `datasets_dir`, which is created if necessary.
    ///
    /// # Errors
    /// Fails if the directory cannot be written.
    pub fn new(datasets_dir: &Path, tokenizer: &'a Tokenizer) -> Result<Self, WriteError> {
        std::fs::create_dir_all(datasets_dir).map_err(unwritable(datasets_dir))?;
        remove_abandoned(datasets_dir);
        let partial = partial_path(datasets_dir);
        std::fs::create_dir(&partial).map_err(unwritable(&partial))?;
        let parts = vec![PartWriter::new(None, tokenizer.end_of_document())];
        Ok(Self { datasets_dir: datasets_dir.to_path_buf(), partial, tokenizer, parts })
    }

    /// Splits the dataset into domains. Their names must be usable in file names.
    #[must_use]
    pub fn with_domains(mut self, names: &[&str]) -> Self {
        let end = self.tokenizer.end_of_document();
        self.parts = names.iter().map(|name| PartWriter::new(Some(name), end)).collect();
        self
    }

    /// Adds a document.
    ///
    /// # Errors
    /// Fails if the tokenizer rejects the text, or the disk is full.
    pub fn push(&mut self, split: Split, text: &str) -> Result<(), WriteError> {
        let tokens = self.tokenizer.encode(text).map_err(WriteError::Tokenize)?;
        self.push_tokens(split, &tokens)
    }

    /// Adds a document given as tokens, without its end-of-document token.
    ///
    /// # Errors
    /// Fails if the disk is full.
    ///
    /// # Panics
    /// Panics on a token outside the tokenizer's vocabulary.
    pub fn push_tokens(&mut self, split: Split, tokens: &[u32]) -> Result<(), WriteError> {
        self.push_tokens_to(0, split, tokens)
    }

    /// Adds a document given as tokens to the domain with this index. A held-out one is measured in the order of its hash.
    ///
    /// # Errors
    /// Fails if the disk is full.
    ///
    /// # Panics
    /// Panics on a token outside the tokenizer's vocabulary, and on an unknown domain.
    pub fn push_tokens_to(&mut self, domain: usize, split: Split, tokens: &[u32]) -> Result<(), WriteError> {
        match split {
            Split::Train => self.add(domain, split, tokens),
            Split::Validation => {
                let mut hasher = blake3::Hasher::new_derive_key("windtunnel 2026-12 place of held-out tokens");
                tokens.iter().for_each(|token| _ = hasher.update(&token.to_le_bytes()));
                let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
                self.push_held_out(domain, tokens, u64::from_le_bytes([a, b, c, d, e, f, g, h]), 0)
            }
        }
    }

    /// Adds a held-out document given as tokens to the domain with this index: with its place in the order of measurement,
    /// and the index of its source among those of the dataset.
    ///
    /// # Errors
    /// Fails if the disk is full.
    ///
    /// # Panics
    /// Like [`Self::push_tokens_to`], and on a document of more than four billion tokens.
    pub fn push_held_out(&mut self, domain: usize, tokens: &[u32], draw: u64, source: u32) -> Result<(), WriteError> {
        let with_end = u32::try_from(tokens.len() + 1).expect("long documents are cut into blocks");
        self.parts[domain].validation.documents.push(HeldOutDocument { tokens: with_end, source, draw });
        self.add(domain, Split::Validation, tokens)
    }

    fn add(&mut self, domain: usize, split: Split, tokens: &[u32]) -> Result<(), WriteError> {
        let lengths = self.tokenizer.byte_lengths();
        let part = &mut self.parts[domain];
        let writer = match split {
            Split::Train => &mut part.train,
            Split::Validation => &mut part.validation,
        };
        writer.pending.extend_from_slice(tokens);
        writer.pending.push(self.tokenizer.end_of_document());
        writer.entry.documents += 1;
        writer.tokens += tokens.len() as u64 + 1;
        writer.bytes += tokens.iter().map(|&token| u64::from(lengths[token as usize])).sum::<u64>();
        if writer.pending.len() >= PENDING_TOKENS {
            writer.flush(&self.partial, self.tokenizer.vocab())?;
        }
        Ok(())
    }

    /// Writes the remaining files and moves the dataset to its final directory, which is named after its content. An
    /// existing intact one is kept.
    ///
    /// # Errors
    /// Fails if the disk is full.
    pub fn finish(mut self, sources: Vec<String>, dropped: Dropped) -> Result<(Dataset, PathBuf), WriteError> {
        let vocab = self.tokenizer.vocab();
        for writer in self.parts.iter_mut().flat_map(|part| [&mut part.train, &mut part.validation]) {
            writer.flush(&self.partial, vocab)?;
            writer.finish_shard()?;
        }
        for PartWriter { validation, .. } in &mut self.parts {
            let index = npy(&packed(&validation.documents)).map_err(unwritable(&self.partial))?;
            let name = format!("{}-documents.npy", validation.name);
            validation.entry.index = Some(write_file(&self.partial, &name, &index)?);
        }
        let tokenizer = write_file(&self.partial, "tokenizer.json", self.tokenizer.json().as_bytes())?;
        let lengths = npy(self.tokenizer.byte_lengths()).map_err(unwritable(&self.partial))?;
        let token_bytes = write_file(&self.partial, "token_bytes.npy", &lengths)?;
        let sum = |of: fn(&PartWriter) -> u64| self.parts.iter().map(of).sum();
        let dataset = Dataset {
            id: DatasetId::from_content(b""),
            vocab,
            train_tokens: sum(|part| part.train.tokens),
            validation_tokens: sum(|part| part.validation.tokens),
            train_bytes: sum(|part| part.train.bytes),
            validation_bytes: sum(|part| part.validation.bytes),
            sources,
            domains: self.parts.iter().filter_map(PartWriter::described).collect(),
        };
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            dataset,
            end_of_document: self.tokenizer.end_of_document(),
            tokenizer,
            token_bytes,
            train: SplitEntry::default(),
            validation: SplitEntry::default(),
            domains: Vec::new(),
            dropped,
        };
        for part in &mut self.parts {
            let [train, validation] =
                [&mut part.train, &mut part.validation].map(|split| std::mem::take(&mut split.entry));
            if part.domain.is_some() {
                manifest.domains.push(DomainEntry { train, validation });
            } else {
                (manifest.train, manifest.validation) = (train, validation);
            }
        }
        manifest.dataset.id = manifest.content_id();
        let json = serde_json::to_vec_pretty(&manifest).map_err(|error| unwritable(&self.partial)(error.into()))?;
        write_file(&self.partial, MANIFEST, &json)?;
        let dir = self.datasets_dir.join(manifest.dataset.id.to_string());
        self.put_in_place(&dir)?;
        Ok((manifest.dataset, dir))
    }

    fn put_in_place(&self, dir: &Path) -> Result<(), WriteError> {
        if is_whole(dir) {
            return Ok(());
        }
        // A damaged dataset may be in the way. It is moved aside first, so that a directory of this name is always
        // complete.
        let aside = partial_path(&self.datasets_dir);
        let moved = std::fs::rename(dir, &aside).is_ok();
        let renamed = std::fs::rename(&self.partial, dir);
        if moved {
            let _ = std::fs::remove_dir_all(&aside);
        }
        match renamed {
            Ok(()) => sync_dir(&self.datasets_dir),
            // Another process finished the same content first.
            Err(_) if is_whole(dir) => Ok(()),
            Err(error) => Err(unwritable(dir)(error)),
        }
    }
}

impl Drop for DatasetWriter<'_> {
    fn drop(&mut self) {
        // After `finish` the directory no longer has this name.
        let _ = std::fs::remove_dir_all(&self.partial);
    }
}

/// Writes a small dataset of texts in memory, with a tokenizer trained on the training texts. For tests and
/// demonstrations.
///
/// # Errors
/// Fails like [`DatasetWriter`], and if the vocabulary is too small.
pub fn write_texts(
    datasets_dir: &Path,
    train: &[&str],
    validation: &[&str],
    vocab: u32,
) -> Result<(Dataset, PathBuf), WriteError> {
    let tokenizer = Tokenizer::train(train, vocab).map_err(WriteError::Tokenize)?;
    let mut writer = DatasetWriter::new(datasets_dir, &tokenizer)?;
    train.iter().try_for_each(|text| writer.push(Split::Train, text))?;
    validation.iter().try_for_each(|text| writer.push(Split::Validation, text))?;
    writer.finish(vec!["texts at hand".to_owned()], Dropped::default())
}

/// Like [`write_texts`], for several domains, each with its name, training texts and held-out texts.
///
/// # Errors
/// Fails like [`write_texts`].
pub fn write_domains(
    datasets_dir: &Path,
    domains: &[(&str, &[&str], &[&str])],
    vocab: u32,
) -> Result<(Dataset, PathBuf), WriteError> {
    let train: Vec<&str> = domains.iter().flat_map(|(_, train, _)| train.iter().copied()).collect();
    let names: Vec<&str> = domains.iter().map(|(name, ..)| *name).collect();
    let tokenizer = Tokenizer::train(&train, vocab).map_err(WriteError::Tokenize)?;
    let mut writer = DatasetWriter::new(datasets_dir, &tokenizer)?.with_domains(&names);
    for (number, (_, train, validation)) in domains.iter().enumerate() {
        for (split, texts) in [(Split::Train, train), (Split::Validation, validation)] {
            for text in *texts {
                let tokens = tokenizer.encode(text).map_err(WriteError::Tokenize)?;
                writer.push_tokens_to(number, split, &tokens)?;
            }
        }
    }
    writer.finish(names.iter().map(|name| format!("{name}: texts at hand")).collect(), Dropped::default())
}

fn is_whole(dir: &Path) -> bool {
    OpenDataset::open(dir).is_ok_and(|dataset| dataset.verify().is_ok())
}

/// A path that no other process or thread uses.
fn partial_path(parent: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // A process id is not unique across hosts: the operating system's random numbers are.
    let number = RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    parent.join(format!("{PARTIAL}{}-{number:016x}", std::process::id()))
}

fn remove_abandoned(datasets_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(datasets_dir) else { return };
    for entry in entries.flatten() {
        let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        // Leftovers are harmless: failing to remove them must not stop the preparation.
        if is_partial && age.is_some_and(|age| age > ABANDONED_AFTER) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A token file in the making: its header comes last, because it says how many tokens there are.
#[derive(Debug)]
struct ShardWriter {
    name: String,
    path: PathBuf,
    file: BufWriter<File>,
    /// Whether a token takes two bytes.
    is_narrow: bool,
    len: u64,
}

impl ShardWriter {
    fn new(dir: &Path, name: String, vocab: u32) -> Result<Self, WriteError> {
        let path = dir.join(&name);
        let is_narrow = vocab <= 1 << 16;
        let mut file = BufWriter::with_capacity(1 << 18, File::create(&path).map_err(unwritable(&path))?);
        header(is_narrow, SHARD_TOKENS as u64).and_then(|header| file.write_all(&header)).map_err(unwritable(&path))?;
        Ok(Self { name, path, file, is_narrow, len: 0 })
    }

    fn write(&mut self, tokens: &[u32]) -> Result<(), WriteError> {
        self.len += tokens.len() as u64;
        let mut write = |token: u32| {
            if self.is_narrow {
                self.file.write_all(&(token as u16).to_le_bytes())
            } else {
                self.file.write_all(&token.to_le_bytes())
            }
        };
        tokens.iter().try_for_each(|&token| write(token)).map_err(unwritable(&self.path))
    }

    fn finish(self) -> Result<ShardEntry, WriteError> {
        let Self { name, path, file, is_narrow, len } = self;
        let finish = || {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            let (first, last) = (header(is_narrow, SHARD_TOKENS as u64)?, header(is_narrow, len)?);
            // A header is padded to a multiple of 64 bytes, which all counts of tokens fit into.
            if first.len() != last.len() {
                return Err(io::Error::other("the header has another size than was left for it"));
            }
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&last)?;
            file.sync_all()?;
            Ok((file.metadata()?.len(), hash_of(&path)?))
        };
        let (bytes, blake3) = finish().map_err(unwritable(&path))?;
        Ok(ShardEntry { file: FileEntry { name, bytes, blake3 }, tokens: len })
    }
}

/// The header of a token file.
fn header(is_narrow: bool, len: u64) -> io::Result<Vec<u8>> {
    let shape = &[len];
    if is_narrow {
        npyz::WriteOptions::<u16>::new().default_dtype().shape(shape).writer(Vec::new()).write_header_only()
    } else {
        npyz::WriteOptions::<u32>::new().default_dtype().shape(shape).writer(Vec::new()).write_header_only()
    }
}

/// The bytes of a `.npy`.
fn npy<T: npyz::AutoSerialize + Copy>(numbers: &[T]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[numbers.len() as u64]);
    let mut writer = options.writer(&mut bytes).begin_nd()?;
    writer.extend(numbers.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}

fn write_file(dir: &Path, name: &str, content: &[u8]) -> Result<FileEntry, WriteError> {
    let path = dir.join(name);
    let write = || {
        let mut file = BufWriter::new(File::create(&path)?);
        file.write_all(content)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(unwritable(&path))?;
    Ok(FileEntry { name: name.to_owned(), bytes: content.len() as u64, blake3: ContentHash::of(content) })
}

/// Writes a small file under another name and renames it into place.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let parent = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(parent).map_err(unwritable(parent))?;
    let partial = partial_path(parent);
    std::fs::write(&partial, content).and_then(|()| std::fs::rename(&partial, path)).map_err(unwritable(path))
}

/// Makes a rename survive a power failure, which requires its directory to be on disk.
fn sync_dir(dir: &Path) -> Result<(), WriteError> {
    match File::open(dir).and_then(|opened| opened.sync_all()) {
        // Not every platform opens directories.
        Err(error) if cfg!(unix) => Err(unwritable(dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_the_array_that_is_written_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let tokens: Vec<u32> = (0..100_000).map(|i| i % 300).collect();
        for (len, vocab) in [(0, 300), (1, 300), (9, 70_000), (10, 300), (100_000, 300), (100_000, 70_000)] {
            let tokens = &tokens[..len];
            let mut shard = ShardWriter::new(dir.path(), "x.npy".to_owned(), vocab).expect("begins");
            tokens.chunks(777).for_each(|some| shard.write(some).expect("is written"));
            let entry = shard.finish().expect("ends");
            let expected = if vocab <= 1 << 16 {
                npy(&tokens.iter().map(|&token| token as u16).collect::<Vec<_>>())
            } else {
                npy(tokens)
            };
            let expected = expected.expect("is an array");
            assert_eq!(std::fs::read(dir.path().join("x.npy")).expect("is there"), expected, "{len}, {vocab}");
            let file = FileEntry {
                name: "x.npy".to_owned(),
                bytes: expected.len() as u64,
                blake3: ContentHash::of(&expected),
            };
            assert_eq!(entry, ShardEntry { file, tokens: len as u64 });
        }
        // No count of tokens has a header of another size.
        for len in [0, 9, 99_999, SHARD_TOKENS as u64] {
            assert_eq!(header(true, len).expect("fits").len(), header(false, 0).expect("fits").len());
        }
    }
}
