//! The copy of the queue on disk, and the thread that writes it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use proto::v1::WorkerMessage;
use recipes::WorkerId;
use tracing::warn;

use super::log::{LogError, Recovered, Segment, recover};

/// A segment of this length is followed by another.
const SEGMENT_BYTES: u64 = 1 << 20;

/// Why the outbox on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Its directory cannot be made.
    #[error("cannot create {dir}")]
    Create {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its files cannot be read or written.
    #[error("cannot recover the outbox")]
    Log(#[from] LogError),
    /// Its thread cannot be started.
    #[error("cannot start a thread for the outbox")]
    Thread(#[source] std::io::Error),
}

enum Command {
    Append(WorkerMessage),
    Acknowledge(u64),
}

/// Writes the copy. Dropping it waits until what it was given is on the disk.
#[derive(Debug)]
pub struct Spool {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Spool {
    /// Opens the spool of a worker process in `dir`. What a process of the same identity left there is returned.
    pub fn open(dir: &Path, worker: &WorkerId) -> Result<(Self, Recovered), SpoolError> {
        std::fs::create_dir_all(dir).map_err(|source| SpoolError::Create { dir: dir.to_owned(), source })?;
        let recovered = recover(dir, worker)?;
        let files = Files {
            dir: dir.to_owned(),
            worker: *worker,
            closed: recovered.segments.clone().into(),
            current: Segment::create(dir, worker, recovered.next_segment)?,
            next_segment: recovered.next_segment + 1,
        };
        let (commands, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || files.write(&receiver));
        let thread = thread.map_err(SpoolError::Thread)?;
        Ok((Self { commands: Some(commands), thread: Some(thread) }, recovered))
    }

    /// Has a message copied, after those before it.
    pub fn append(&self, message: WorkerMessage) {
        self.command(Command::Append(message));
    }

    /// Everything up to this number needs no copy any more.
    pub fn acknowledge(&self, through: u64) {
        self.command(Command::Acknowledge(through));
    }

    fn command(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread ends early only after an error, of which it has warned.
            let _ = commands.send(command);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.commands = None;
        // A thread that panicked has nothing more to write.
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

struct Files {
    dir: PathBuf,
    worker: WorkerId,
    closed: VecDeque<(PathBuf, u64)>,
    current: Segment,
    next_segment: u64,
}

impl Files {
    /// Takes whatever has come, and writes it with one wait for the disk.
    fn write(mut self, commands: &mpsc::Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let (mut messages, mut acknowledged) = (Vec::new(), 0);
            for command in std::iter::once(first).chain(commands.try_iter()) {
                match command {
                    Command::Append(message) => messages.push(message),
                    Command::Acknowledge(through) => acknowledged = acknowledged.max(through),
                }
            }
            messages.retain(|message| message.sequence > acknowledged);
            if let Err(error) = self.append(&messages).and_then(|()| self.forget(acknowledged)) {
                let error = crate::training::chain(&error);
                warn!(%error, "the outbox has no copy on disk any more; training goes on");
                return;
            }
        }
    }

    fn append(&mut self, messages: &[WorkerMessage]) -> Result<(), LogError> {
        if messages.is_empty() {
            return Ok(());
        }
        if self.current.bytes() >= SEGMENT_BYTES {
            let next = Segment::create(&self.dir, &self.worker, self.next_segment)?;
            self.next_segment += 1;
            self.closed.push_back(std::mem::replace(&mut self.current, next).into_closed());
        }
        self.current.append(messages)
    }

    fn forget(&mut self, through: u64) -> Result<(), LogError> {
        while let Some((path, _)) = self.closed.pop_front_if(|(_, last)| *last <= through) {
            std::fs::remove_file(&path).map_err(|source| LogError { path, source })?;
        }
        Ok(())
    }
}
