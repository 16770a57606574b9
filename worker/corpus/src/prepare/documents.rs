//! Reads source files: once for their hashes, and again for their text if the hashes are new.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::{PrepareError, read};
use crate::extract::{Decoding, Extracted, extract};
use crate::hash::ContentHash;
use crate::progress::{Progress, ProgressSink};
use crate::sources::{Source, SourceFile};

/// Files read between two checks of `max_bytes`.
const FILES_AT_ONCE: usize = 1024;
/// Files between two progress reports.
const FILES_PER_REPORT: u64 = 64;

/// Every file with the index of its source.
fn files(sources: &[Source]) -> Vec<(&SourceFile, Decoding, usize)> {
    let numbered = sources.iter().enumerate();
    numbered.flat_map(|(number, source)| source.files.iter().map(move |file| (file, source.decoding, number))).collect()
}

/// Hashes every file, in order.
pub(super) fn hash_files(sources: &[Source], progress: ProgressSink<'_>) -> Result<Vec<ContentHash>, PrepareError> {
    let files = files(sources);
    let total = files.iter().map(|(file, ..)| file.bytes).sum();
    let (done, count) = (AtomicU64::new(0), AtomicU64::new(0));
    progress(Progress::Hashing { done: 0, total });
    let hashes = files.par_iter().map(|(file, ..)| {
        let hash = ContentHash::of(&read(&file.path)?);
        let done = done.fetch_add(file.bytes, Ordering::Relaxed) + file.bytes;
        if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(FILES_PER_REPORT) {
            progress(Progress::Hashing { done, total });
        }
        Ok(hash)
    });
    let hashes = hashes.collect::<Result<Vec<_>, PrepareError>>()?;
    progress(Progress::Hashing { done: total, total });
    Ok(hashes)
}

/// Extracts the documents of every file, in order, up to `max_bytes` of text, each with the index of its source.
pub(super) fn extract_files(
    sources: &[Source],
    hashes: &[ContentHash],
    max_bytes: Option<u64>,
    progress: ProgressSink<'_>,
) -> Result<Vec<(usize, Extracted)>, PrepareError> {
    let files: Vec<_> = files(sources).into_iter().zip(hashes).collect();
    let total = files.len() as u64;
    let done = AtomicU64::new(0);
    let mut left = max_bytes.unwrap_or(u64::MAX);
    let mut documents = Vec::new();
    progress(Progress::Extracting { done: 0, total });
    for some in files.chunks(FILES_AT_ONCE) {
        let extracted = some.par_iter().map(|&((file, decoding, source), hash)| {
            let bytes = read(&file.path)?;
            if ContentHash::of(&bytes) != *hash {
                return Err(PrepareError::Changed { path: file.path.clone() });
            }
            let extracted = extract(file.format, decoding, &file.path, bytes).map_err(PrepareError::Extract)?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(FILES_PER_REPORT) {
                progress(Progress::Extracting { done, total });
            }
            Ok(extracted.into_iter().map(move |document| (source, document)))
        });
        for (source, document) in extracted.collect::<Result<Vec<_>, PrepareError>>()?.into_iter().flatten() {
            documents.push((source, cut(document, &mut left)));
            if left == 0 {
                break;
            }
        }
        if left == 0 {
            break;
        }
    }
    progress(Progress::Extracting { done: total, total });
    Ok(documents)
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
