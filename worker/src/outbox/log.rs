//! The spool's files: a header, then records, each with its length and a checksum.
//!
//! Segments are numbered and written one after the other. A segment goes when all of it is acknowledged. The last record
//! of the last one may be cut short by a crash; it and what follows it is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use proto::v1::WorkerMessage;
use recipes::WorkerId;
use tracing::{info, warn};

const MAGIC: &[u8; 16] = b"windtunnel out 1";
const HEADER: usize = MAGIC.len() + 8;
/// Length and checksum.
const RECORD_HEADER: usize = 4 + 8;
const EXTENSION: &str = "spool";
/// Sequence numbers that belong to a segment; more than a process will ever need.
const NUMBERS: u64 = 1 << 32;

/// Why the spool cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
pub struct LogError {
    /// Which file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What the last process of the same identity left.
#[derive(Debug)]
pub struct Recovered {
    /// Its messages, in order. Some may have been acknowledged.
    pub messages: Vec<WorkerMessage>,
    /// The segments they lie in, in order, each with the number of its last message.
    pub segments: Vec<(PathBuf, u64)>,
    /// The number of the next segment: above that of every segment there was.
    pub next_segment: u64,
}

impl Recovered {
    /// Where the sequence numbers of this process start.
    ///
    /// A number must not be given twice, or the second message would be taken for a repetition of the first; and what is
    /// left of an earlier process does not say how far it got. But it left the segment it wrote last, and this process
    /// begins another one.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        (self.next_segment - 1) * NUMBERS + 1
    }
}

/// A segment that is being written.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
    last_sequence: u64,
}

/// Reads what a worker left in `dir`. What other workers left is deleted: their attempts are over.
pub(super) fn recover(dir: &Path, worker: &WorkerId) -> Result<Recovered, LogError> {
    let mut recovered = Recovered { messages: Vec::new(), segments: Vec::new(), next_segment: 1 };
    for path in segments(dir)? {
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        recovered.next_segment = recovered.next_segment.max(number.map_or(1, |number| number + 1));
        let content = std::fs::read(&path).map_err(|source| LogError { path: path.clone(), source })?;
        if !content.starts_with(&header(worker)) {
            info!(path = %path.display(), "dropping the outbox of an earlier process");
            std::fs::remove_file(&path).map_err(|source| LogError { path, source })?;
            continue;
        }
        let before = recovered.messages.len();
        let mut rest = &content[HEADER..];
        while let Some((message, after)) = next_record(rest) {
            recovered.messages.push(message);
            rest = after;
        }
        if !rest.is_empty() {
            warn!(path = %path.display(), bytes = rest.len(), "dropping the damaged end of the outbox");
        }
        let last = recovered.messages[before..].last().map_or(0, |message| message.sequence);
        recovered.segments.push((path, last));
    }
    Ok(recovered)
}

fn header(worker: &WorkerId) -> Vec<u8> {
    [MAGIC.as_slice(), worker.as_bytes()].concat()
}

fn next_record(content: &[u8]) -> Option<(WorkerMessage, &[u8])> {
    let (head, rest) = content.split_at_checked(RECORD_HEADER)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let (payload, after) = rest.split_at_checked(length)?;
    if checksum(payload) != head[4..] {
        return None;
    }
    Some((WorkerMessage::decode(payload).ok()?, after))
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(payload).as_bytes()[..8]);
    sum
}

/// The segments of a directory, in order.
fn segments(dir: &Path) -> Result<Vec<PathBuf>, LogError> {
    let failed = |source| LogError { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

impl Segment {
    /// A new segment with this number.
    pub fn create(dir: &Path, worker: &WorkerId, number: u64) -> Result<Self, LogError> {
        let path = dir.join(format!("{number:012}.{EXTENSION}"));
        let create = || {
            let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
            file.write_all(&header(worker))?;
            Ok(file)
        };
        match create() {
            Ok(file) => Ok(Self { path, file, bytes: HEADER as u64, last_sequence: 0 }),
            Err(source) => Err(LogError { path, source }),
        }
    }

    /// Appends messages and waits until they are on the disk.
    pub fn append(&mut self, messages: &[WorkerMessage]) -> Result<(), LogError> {
        let mut records = Vec::new();
        for message in messages {
            let payload = message.encode_to_vec();
            // A message is far below 4 GiB: the wire's bound is in MiB.
            records.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            records.extend_from_slice(&checksum(&payload));
            records.extend_from_slice(&payload);
        }
        self.file
            .write_all(&records)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| LogError { path: self.path.clone(), source })?;
        self.bytes += records.len() as u64;
        self.last_sequence = messages.last().map_or(self.last_sequence, |message| message.sequence);
        Ok(())
    }

    /// How long it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is, and the number of its last message, zero while there is none.
    #[must_use]
    pub fn into_closed(self) -> (PathBuf, u64) {
        (self.path, self.last_sequence)
    }
}
