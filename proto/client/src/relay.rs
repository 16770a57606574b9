//! Sending prepared data through the coordinator's port, where its storage cannot be written from here.

use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use proto::layout::MANIFEST;
use proto::limits::{MAX_DATASET_MANIFEST_BYTES, MAX_PIECE_BYTES, PIECES_AT_ONCE};
use proto::v1::{UploadedFile, WriteUploadRequest, WriteUploadResponse};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use vocabulary::text::one_line;
use vocabulary::{Backoff, DatasetId};

use crate::upload::files;
use crate::{CallError, Campaigns, Upload, UploadError};

/// A call is made again while the coordinator does not answer or cannot take more: for about two minutes.
const WAITS: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(15) };
const TRIES: u32 = 14;

/// How often the coordinator may have forgotten an upload.
const ROUNDS: u32 = 5;

/// How often a piece or a file may arrive damaged.
const MOST_DAMAGED: u32 = 3;

/// Answers in a row that leave a file where it was. While the coordinator stores a file, each takes it 20 s.
const MOST_IDLE: u32 = 100;

/// Sends a dataset through the coordinator, unless its storage has it. What arrived in an earlier try is not sent again.
///
/// # Errors
/// A file cannot be read, or the coordinator does not take it.
pub async fn send_dataset(
    campaigns: &mut Campaigns,
    id: &DatasetId,
    dir: &Path,
    tell: &mut impl FnMut(&Upload),
) -> Result<(), UploadError> {
    let unreadable = |source| UploadError::Send { dataset: *id, to: campaigns.url().to_owned(), source };
    let manifest = std::fs::read(dir.join(MANIFEST)).map_err(unreadable)?;
    if manifest.len() > MAX_DATASET_MANIFEST_BYTES {
        return Err(UploadError::Manifest { dataset: *id });
    }
    // The names are those of this folder: what the coordinator asks for is looked up among them.
    let found = files(dir).map_err(unreadable)?;
    let found = found.into_iter().filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)));
    let mut sending = Sending { id, dir, found: found.collect(), campaigns, at_once: 1, tell };
    for _ in 0..ROUNDS {
        if sending.round(&manifest).await? {
            return Ok(());
        }
    }
    Err(UploadError::Stuck { dataset: *id })
}

/// What was said of pieces that were sent at once, and the last of the failures.
#[derive(Default)]
struct Answers {
    answers: Vec<WriteUploadResponse>,
    failure: Option<CallError>,
}

struct Sending<'a, F> {
    id: &'a DatasetId,
    dir: &'a Path,
    found: BTreeMap<String, PathBuf>,
    campaigns: &'a mut Campaigns,
    /// Pieces that are sent at once: one at first and after a failure, so that a line that breaks often costs little, and more
    /// while all goes well.
    at_once: usize,
    tell: &'a mut F,
}

impl<F: FnMut(&Upload)> Sending<'_, F> {
    /// Sends what is missing. Returns whether the storage has the dataset: not where the coordinator forgot the upload.
    async fn round(&mut self, manifest: &[u8]) -> Result<bool, UploadError> {
        let begun = self.patiently(async |campaigns| campaigns.begin_upload(manifest.to_vec()).await).await?;
        if begun.whole {
            return Ok(true);
        }
        let total = begun.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        let mut done = begun.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.received.min(file.bytes)));
        (self.tell)(&Upload::Relaying { done, total });
        for file in &begun.files {
            if !self.send(file, &mut done, total).await? {
                return Ok(false);
            }
        }
        let id = self.id.to_string();
        self.patiently(async |campaigns| campaigns.complete_upload(id.clone()).await).await
    }

    /// Sends the rest of a file. Returns whether the storage has it.
    async fn send(&mut self, file: &UploadedFile, done: &mut u64, total: u64) -> Result<bool, UploadError> {
        let UploadedFile { name, bytes, mut received, stored } = file.clone();
        if stored {
            return Ok(true);
        }
        let (mut damaged, mut idle, mut failures) = (0, 0, 0);
        loop {
            let Answers { answers, failure } = self.send_some(&name, received.min(bytes), bytes).await?;
            if answers.iter().any(|answer| !answer.begun) {
                return Ok(false);
            }
            match failure {
                Some(error) => {
                    self.at_once = 1;
                    self.bear(error, &mut failures).await?;
                }
                None => {
                    self.at_once = (2 * self.at_once).min(PIECES_AT_ONCE);
                    failures = 0;
                }
            }
            // Each answer says how far the file was then; the next pieces begin where the last one left it.
            let Some(now) = answers.iter().map(|answer| answer.received).max() else { continue };
            let stored = answers.iter().any(|answer| answer.stored);
            if answers.iter().any(|answer| answer.damaged) {
                damaged += 1;
                if damaged >= MOST_DAMAGED {
                    return Err(UploadError::Damaged { file: name, times: damaged, dir: self.dir.to_owned() });
                }
            }
            idle = if now > received { 0 } else { idle + 1 };
            if idle > MOST_IDLE {
                return Err(UploadError::Stuck { dataset: *self.id });
            }
            *done = done.saturating_sub(received.min(bytes)).saturating_add(now.min(bytes));
            received = now;
            (self.tell)(&Upload::Relaying { done: *done, total });
            if stored {
                return Ok(true);
            }
        }
    }

    /// Sends the pieces of a file that come next, all at once; an empty one at its end, which asks how far it is.
    async fn send_some(&self, name: &str, from: u64, bytes: u64) -> Result<Answers, UploadError> {
        let ahead = (1..self.at_once as u64).map(|number| from.saturating_add(number * MAX_PIECE_BYTES as u64));
        let mut pieces = Vec::new();
        for offset in std::iter::once(from).chain(ahead.take_while(|offset| *offset < bytes)) {
            pieces.push(self.piece(name, offset).await?);
        }
        let calls = pieces.into_iter().map(|piece| {
            let mut campaigns = self.campaigns.clone();
            async move { campaigns.write_upload(piece).await }
        });
        let mut found = Answers::default();
        for outcome in join_all(calls).await {
            match outcome {
                Ok(answer) => found.answers.push(answer),
                Err(error) => found.failure = Some(error),
            }
        }
        Ok(found)
    }

    /// The piece of a file that begins at an offset; an empty one at its end.
    async fn piece(&self, name: &str, offset: u64) -> Result<WriteUploadRequest, UploadError> {
        let read = async {
            let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("the dataset has no file {name:?}"));
            let mut opened = tokio::fs::File::open(self.found.get(name).ok_or_else(unknown)?).await?;
            opened.seek(SeekFrom::Start(offset)).await?;
            let mut content = Vec::with_capacity(MAX_PIECE_BYTES);
            opened.take(MAX_PIECE_BYTES as u64).read_to_end(&mut content).await?;
            Ok(content)
        };
        let content = read.await.map_err(|source| UploadError::Send {
            dataset: *self.id,
            to: self.campaigns.url().to_owned(),
            source,
        })?;
        let blake3 = blake3::hash(&content).to_hex().to_string();
        Ok(WriteUploadRequest { dataset: self.id.to_string(), file: name.to_owned(), offset, content, blake3 })
    }

    /// Makes a call, and again while its failure may pass.
    async fn patiently<T>(
        &mut self,
        call: impl AsyncFn(&mut Campaigns) -> Result<T, CallError>,
    ) -> Result<T, UploadError> {
        let mut failures = 0;
        loop {
            match call(self.campaigns).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.bear(error, &mut failures).await?,
            }
        }
    }

    /// Waits before a call is made again, unless its failure does not pass.
    async fn bear(&mut self, error: CallError, failures: &mut u32) -> Result<(), UploadError> {
        *failures += 1;
        // A login that fails is a token that was revoked.
        let may_pass = error.is_retryable() && !matches!(error, CallError::Login { .. });
        if !may_pass || *failures >= TRIES {
            return Err(error.into());
        }
        (self.tell)(&Upload::Waiting { why: one_line(&error) });
        tokio::time::sleep(WAITS.wait_after(*failures)).await;
        Ok(())
    }
}
