//! Reads source files: once for their hashes, and then document by document, without holding more than a few batches.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rayon::prelude::*;
use vocabulary::ContentHash;

use super::{PrepareError, TextRequest};
use crate::extract::{Compression, Extracted, Format, Found, How, extract};
use crate::progress::{Progress, ProgressSink};
use crate::sources::{Source, SourceFile};
use crate::tokenizer::Tokenizer;

/// Small files that are extracted at once, on all cores: how many, of how many bytes in all.
const FILES_AT_ONCE: usize = 1024;
const GROUP_BYTES: u64 = 16 << 20;
/// Files up to this size are small.
const SMALL_BYTES: u64 = 1 << 20;
/// Text, in bytes, and documents that are passed on together.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_DOCUMENTS: usize = 4096;
/// Batches that wait to be tokenized.
const BATCHES_WAITING: usize = 1;
/// Files between two progress reports.
const FILES_PER_REPORT: u64 = 64;

/// A file as it was when it was hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) hash: ContentHash,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Hashes every file, in order.
pub(super) fn hash_files(sources: &[Source], progress: ProgressSink<'_>) -> Result<Vec<Seen>, PrepareError> {
    let files: Vec<&SourceFile> = sources.iter().flat_map(|source| &source.files).collect();
    let total = files.iter().map(|file| file.bytes).sum();
    let (done, count) = (AtomicU64::new(0), AtomicU64::new(0));
    progress(Progress::Hashing { done: 0, total });
    let hashes = files.par_iter().map(|file| {
        let seen = hashed(&file.path).map_err(|source| PrepareError::Read { path: file.path.clone(), source })?;
        let done = done.fetch_add(file.bytes, Ordering::Relaxed) + file.bytes;
        if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(FILES_PER_REPORT) {
            progress(Progress::Hashing { done, total });
        }
        Ok(seen)
    });
    let hashes = hashes.collect::<Result<Vec<_>, PrepareError>>()?;
    progress(Progress::Hashing { done: total, total });
    Ok(hashes)
}

fn hashed(path: &Path) -> std::io::Result<Seen> {
    let mut file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    Ok(Seen { hash: hasher.finalize().into(), bytes: metadata.len(), modified: metadata.modified().ok() })
}

/// Documents of one source, in order.
#[derive(Debug)]
pub(super) struct Batch {
    /// Index of the text, which is the domain if there are several.
    pub(super) text: usize,
    /// Index of the source, over all texts.
    pub(super) source: u32,
    pub(super) documents: Vec<Extracted>,
}

/// What is read, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) texts: &'a [TextRequest],
    pub(super) sources: &'a [Source],
    pub(super) seen: &'a [Seen],
    /// Stop reading a text after this many bytes.
    pub(super) max_bytes: Option<u64>,
    /// The tokenizer that ready tokens are of, if one was given.
    pub(super) tokenizer: Option<&'a Tokenizer>,
}

impl Reading<'_> {
    /// Reads all documents in order, on a thread of its own, while `take` works on those before. Returns how many lines and
    /// rows had no text.
    pub(super) fn each_batch(
        &self,
        progress: &(dyn Fn(u64, u64) + Sync),
        mut take: impl FnMut(Batch) -> Result<(), PrepareError>,
    ) -> Result<u64, PrepareError> {
        std::thread::scope(|scope| {
            let (sender, batches) = std::sync::mpsc::sync_channel(BATCHES_WAITING);
            let reader = scope.spawn(move || self.read(progress, &mut |batch| sender.send(batch).is_ok()));
            let taken = batches.into_iter().try_for_each(&mut take);
            // The channel is closed: a reader that still has batches ends at the next.
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            taken.and(read)
        })
    }

    /// Passes on all documents. `send` says whether somebody still wants them.
    fn read(
        &self,
        progress: &(dyn Fn(u64, u64) + Sync),
        send: &mut dyn FnMut(Batch) -> bool,
    ) -> Result<u64, PrepareError> {
        let total = self.seen.len() as u64;
        let (mut done, mut without_text) = (0, 0);
        let (mut sources, mut seen) = (self.sources.iter().zip(0..), self.seen);
        progress(0, total);
        for (number, text) in self.texts.iter().enumerate() {
            let mut left = self.max_bytes.unwrap_or(u64::MAX);
            for (source, index) in sources.by_ref().take(text.sources.len()) {
                let (own, others) = seen.split_at(source.files.len());
                seen = others;
                let how = How { decoding: source.decoding, text_key: text.text_key(), tokenizer: self.tokenizer };
                let mut out = Out { text: number, source: index, left: &mut left, pending: Vec::new(), bytes: 0, send };
                let mut found = Found::default();
                let mut files = source.files.iter().zip(own).peekable();
                while out.is_wanted() && files.peek().is_some() {
                    let group = group(&mut files);
                    let count = group.len() as u64;
                    read_group(&group, how, &mut out, &mut found)?;
                    done += count;
                    progress(done, total);
                }
                let is_wanted = out.flush();
                if found.texts == 0 && found.without_text > 0 {
                    return Err(PrepareError::NoSuchKey {
                        source_name: source.description.clone(),
                        key: text.text_key().to_owned(),
                        keys: described(&found.keys),
                    });
                }
                without_text += found.without_text;
                if !is_wanted {
                    return Ok(without_text);
                }
            }
        }
        progress(total, total);
        Ok(without_text)
    }
}

fn described(keys: &BTreeSet<String>) -> String {
    if keys.is_empty() { "no objects at all".to_owned() } else { keys.iter().cloned().collect::<Vec<_>>().join(", ") }
}

type File<'a> = (&'a SourceFile, &'a Seen);

/// The next files: many small documents, or one file of another kind.
fn group<'a>(files: &mut std::iter::Peekable<impl Iterator<Item = File<'a>>>) -> Vec<File<'a>> {
    let is_small = |file: &SourceFile| {
        let is_plain = file.compression == Compression::None && file.bytes <= SMALL_BYTES;
        is_plain && (file.format.is_one_document() || file.format == Format::JsonLines)
    };
    let mut group: Vec<File<'a>> = files.next().into_iter().collect();
    let mut bytes = group.iter().map(|(file, _)| file.bytes).sum::<u64>();
    if group.iter().all(|(file, _)| is_small(file)) {
        while group.len() < FILES_AT_ONCE
            && let Some(next) = files.next_if(|(file, _)| is_small(file) && bytes + file.bytes <= GROUP_BYTES)
        {
            bytes += next.0.bytes;
            group.push(next);
        }
    }
    group
}

fn read_group(group: &[File<'_>], how: How<'_>, out: &mut Out<'_>, found: &mut Found) -> Result<(), PrepareError> {
    if let [(file, seen)] = group {
        let own = read_file(file, seen, how, &mut |document| out.take(document))?;
        add(found, own);
        return Ok(());
    }
    let read = |(file, seen): &File<'_>| {
        let mut documents = Vec::new();
        let own = read_file(file, seen, how, &mut |document| {
            documents.push(document);
            ControlFlow::Continue(())
        })?;
        Ok((documents, own))
    };
    for (documents, own) in group.par_iter().map(read).collect::<Result<Vec<_>, PrepareError>>()? {
        add(found, own);
        for document in documents {
            if out.take(document) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn add(all: &mut Found, own: Found) {
    all.texts += own.texts;
    all.without_text += own.without_text;
    if all.keys.is_empty() {
        all.keys = own.keys;
    }
}

/// Reads a file, which must still be what was hashed.
fn read_file(
    file: &SourceFile,
    seen: &Seen,
    how: How<'_>,
    emit: &mut dyn FnMut(Extracted) -> ControlFlow<()>,
) -> Result<Found, PrepareError> {
    let SourceFile { path, format, compression, .. } = file;
    let found = extract(path, *format, *compression, how, emit).map_err(PrepareError::Extract)?;
    let metadata = std::fs::metadata(path).map_err(|source| PrepareError::Read { path: path.clone(), source })?;
    let is_same = (metadata.len(), metadata.modified().ok()) == (seen.bytes, seen.modified);
    if is_same && found.hash.is_none_or(|hash| hash == seen.hash) {
        Ok(found)
    } else {
        Err(PrepareError::Changed { path: path.clone() })
    }
}

/// Where the documents of a source go.
struct Out<'a> {
    text: usize,
    source: u32,
    /// Bytes that the text may still have.
    left: &'a mut u64,
    pending: Vec<Extracted>,
    /// Bytes of the pending documents.
    bytes: usize,
    send: &'a mut dyn FnMut(Batch) -> bool,
}

impl Out<'_> {
    fn is_wanted(&self) -> bool {
        *self.left > 0
    }

    /// Takes a document, cut to the bytes that are left.
    fn take(&mut self, document: Extracted) -> ControlFlow<()> {
        if !self.is_wanted() {
            return ControlFlow::Break(());
        }
        let document = cut(document, self.left);
        self.bytes += document.bytes();
        self.pending.push(document);
        let is_full = self.bytes >= BATCH_BYTES || self.pending.len() >= BATCH_DOCUMENTS;
        if is_full && !self.flush() {
            *self.left = 0;
        }
        if self.is_wanted() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Passes on what is pending. Returns whether somebody still wants more.
    fn flush(&mut self) -> bool {
        self.bytes = 0;
        let documents = std::mem::take(&mut self.pending);
        documents.is_empty() || (self.send)(Batch { text: self.text, source: self.source, documents })
    }
}

/// Truncates a document to the bytes left, and subtracts its length from them.
fn cut(document: Extracted, left: &mut u64) -> Extracted {
    let mut take = |mut text: String| {
        let fits = usize::try_from(*left).unwrap_or(usize::MAX);
        if text.len() > fits {
            text.truncate(text.floor_char_boundary(fits));
            *left = 0;
        } else {
            *left -= text.len() as u64;
        }
        text
    };
    match document {
        Extracted::Whole(text) => Extracted::Whole(take(text)),
        Extracted::Paragraphs(paragraphs) => Extracted::Paragraphs(
            paragraphs.into_iter().map(&mut take).take_while(|paragraph| !paragraph.is_empty()).collect(),
        ),
        // Tokens are not cut: their last document is left out.
        Extracted::Tokens { text, tokens } => {
            let length = text.len();
            let text = take(text);
            if text.len() == length {
                Extracted::Tokens { text, tokens }
            } else {
                Extracted::Tokens { text: String::new(), tokens: Vec::new() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let mut left = 4;
        assert_eq!(cut(Extracted::Whole("aéé".to_owned()), &mut left), Extracted::Whole("aé".to_owned()));
        assert_eq!(left, 0);
        let mut left = 5;
        let page = Extracted::Paragraphs(["abc", "def", "ghi"].map(str::to_owned).to_vec());
        assert_eq!(cut(page, &mut left), Extracted::Paragraphs(vec!["abc".to_owned(), "de".to_owned()]));
    }
}
