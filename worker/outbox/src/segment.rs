//! The spool file that is being written.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use proto::v1::WorkerMessage;
use vocabulary::WorkerId;

use crate::log::{HEADER, LogError, header, path_of, record};

/// A spool file that messages are appended to.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    /// Length of the part that is known to be sound.
    bytes: u64,
    last_sequence: u64,
}

impl Segment {
    /// Creates the segment with this number. File and directory entry are on disk when this returns.
    pub(crate) fn create(dir: &Path, worker: &WorkerId, number: u64) -> Result<Self, LogError> {
        let path = path_of(dir, number);
        let create = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(&header(worker))?;
            file.sync_all()?;
            File::open(dir)?.sync_all()?;
            Ok(file)
        };
        match create() {
            Ok(file) => Ok(Self { path, file, bytes: HEADER as u64, last_sequence: 0 }),
            Err(source) => Err(LogError { path, source }),
        }
    }

    /// Appends messages and waits until they are on disk.
    ///
    /// # Errors
    /// If they may not be on disk. Part of them may then follow the sound part, until [`Segment::cut`].
    pub(crate) fn append(&mut self, messages: &[WorkerMessage]) -> Result<(), LogError> {
        let records: Vec<u8> = messages.iter().flat_map(|message| record(&message.encode_to_vec())).collect();
        self.file.write_all(&records).and_then(|()| self.file.sync_data()).map_err(LogError::at(&self.path))?;
        self.bytes += records.len() as u64;
        self.last_sequence = messages.last().map_or(self.last_sequence, |message| message.sequence);
        Ok(())
    }

    /// Truncates the file to its sound part.
    pub(crate) fn cut(&mut self) -> Result<(), LogError> {
        let cut = |file: &mut File| {
            file.set_len(self.bytes)?;
            file.seek(SeekFrom::Start(self.bytes))?;
            file.sync_all()
        };
        cut(&mut self.file).map_err(LogError::at(&self.path))
    }

    /// Empties the segment if everything in it is acknowledged. It does not matter whether that reaches the disk.
    pub(crate) fn forget(&mut self, through: u64) -> Result<(), LogError> {
        if self.bytes == HEADER as u64 || self.last_sequence > through {
            return Ok(());
        }
        let empty =
            |file: &mut File| file.set_len(HEADER as u64).and_then(|()| file.seek(SeekFrom::Start(HEADER as u64)));
        empty(&mut self.file).map_err(LogError::at(&self.path))?;
        (self.bytes, self.last_sequence) = (HEADER as u64, 0);
        Ok(())
    }

    /// Length of the sound part.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its path and the sequence number of its last message; zero if it has none.
    pub(crate) fn into_closed(self) -> (PathBuf, u64) {
        (self.path, self.last_sequence)
    }
}
