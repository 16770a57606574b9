//! The copy of the queue on disk, and the thread that writes it.

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::v1::WorkerMessage;
use tracing::{info, warn};
use vocabulary::WorkerId;

use crate::log::{LogError, Recovered, next_segment, recover};
use crate::segment::Segment;

/// A segment of this length is followed by another.
const SEGMENT_BYTES: u64 = 1 << 20;
/// How long a disk that refused is left alone.
const RETRY: Duration = Duration::from_secs(5);

/// Why the outbox on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Its directory cannot be made.
    #[error("cannot create {dir}")]
    Create {
        dir: PathBuf,
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

impl SpoolError {
    /// The operating system's error.
    #[must_use]
    pub fn io(&self) -> &std::io::Error {
        match self {
            Self::Create { source, .. } | Self::Log(LogError { source, .. }) | Self::Thread(source) => source,
        }
    }
}

/// Writes the copy. Dropping it waits until what it was given is on the disk, or the disk refuses it.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread has to do. Only what is not acknowledged waits here, so it is no more than the queue holds, however
/// long the disk takes.
#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    messages: VecDeque<WorkerMessage>,
    acknowledged: u64,
    /// Whether there is something to do that the thread has not seen.
    is_new: bool,
    is_over: bool,
}

impl Work {
    fn drop_acknowledged(&mut self) {
        while self.messages.pop_front_if(|message| message.sequence <= self.acknowledged).is_some() {}
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // A thread that panicked in between left it as sound as it was.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The spools of a worker's folder: what processes that have ended left there, and what is written now.
///
/// Whoever has it must hold the folder's lock: then nobody else writes there.
#[derive(Debug)]
pub struct Spools {
    dir: PathBuf,
    left: Vec<(WorkerId, Recovered)>,
}

impl Spools {
    /// Reads what is left in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If the directory cannot be read and written.
    pub fn open(dir: &Path) -> Result<Self, SpoolError> {
        let create = || DirBuilder::new().recursive(true).mode(0o700).create(dir);
        create().map_err(|source| SpoolError::Create { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), left: recover(dir)? })
    }

    /// The workers that left something unacknowledged, the earliest first.
    #[must_use]
    pub fn unsaid(&self) -> Vec<WorkerId> {
        self.left.iter().filter(|(_, left)| !left.messages.is_empty()).map(|(worker, _)| *worker).collect()
    }

    /// Opens the spool of a worker, and returns what an earlier process left under this identity. One is to be open at a
    /// time.
    ///
    /// # Errors
    /// If the directory cannot be read and written.
    pub fn continue_as(&mut self, worker: &WorkerId) -> Result<(Spool, Recovered), SpoolError> {
        let dir = &self.dir;
        let index = self.left.iter().position(|(of, _)| of == worker);
        let mut recovered = index.map(|index| self.left.remove(index).1).unwrap_or_default();
        recovered.next_segment = next_segment(dir)?;
        let files = Files {
            dir: dir.to_owned(),
            worker: *worker,
            closed: recovered.segments.clone().into(),
            current: Segment::create(dir, worker, recovered.next_segment)?,
            next_segment: recovered.next_segment + 1,
            is_sound: true,
        };
        let shared = Arc::new(Shared::default());
        let work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || files.write(&work));
        let thread = thread.map_err(SpoolError::Thread)?;
        Ok((Spool { shared, thread: Some(thread) }, recovered))
    }

    /// Deletes the segments of other workers than this one, which has begun its own, as far as they are empty: those of a
    /// worker that left nothing, or whose last message is acknowledged.
    ///
    /// # Errors
    /// If the directory cannot be read, or a file in it cannot be deleted.
    pub fn sweep(&self, worker: &WorkerId) -> Result<(), SpoolError> {
        let left = recover(&self.dir)?.into_iter().filter(|(of, left)| of != worker && left.messages.is_empty());
        for (path, _) in left.flat_map(|(_, left)| left.segments) {
            std::fs::remove_file(&path).map_err(LogError::at(&path))?;
        }
        Ok(())
    }
}

impl Spool {
    /// Has a message copied, after those before it.
    pub fn append(&self, message: WorkerMessage) {
        self.tell(|work| work.messages.push_back(message));
    }

    /// Everything up to this number needs no copy any more.
    pub fn acknowledge(&self, through: u64) {
        self.tell(|work| {
            work.acknowledged = work.acknowledged.max(through);
            work.drop_acknowledged();
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Work)) {
        let mut work = self.shared.lock();
        change(&mut work);
        work.is_new = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.tell(|work| work.is_over = true);
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
    /// Whether the end of the current segment is known to be sound.
    is_sound: bool,
}

impl Files {
    /// Takes whatever has come, and writes it with one wait for the disk.
    fn write(mut self, shared: &Shared) {
        let mut was_refused = false;
        loop {
            let (messages, acknowledged, is_over) = {
                let idle = |work: &mut Work| !work.is_new && !work.is_over;
                let mut work = shared.lock();
                work = if was_refused {
                    // Whatever comes meanwhile waits as well: the disk is to be left alone for a while.
                    let waiting = shared.changed.wait_timeout_while(work, RETRY, |work| !work.is_over);
                    waiting.unwrap_or_else(PoisonError::into_inner).0
                } else {
                    shared.changed.wait_while(work, idle).unwrap_or_else(PoisonError::into_inner)
                };
                work.is_new = false;
                (Vec::from(std::mem::take(&mut work.messages)), work.acknowledged, work.is_over)
            };
            let is_last = is_over && messages.is_empty();
            let appended = self.append(&messages);
            if appended.is_err() {
                let mut work = shared.lock();
                let newer = std::mem::replace(&mut work.messages, messages.into());
                work.messages.extend(newer);
                work.drop_acknowledged();
            }
            match appended.and_then(|()| self.forget(acknowledged)) {
                Ok(()) if was_refused => info!("the outbox has a copy on disk again"),
                Ok(()) if is_last => return,
                Err(_) if is_over => return,
                Err(error) if !was_refused => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, "the outbox has no copy on disk for now; training continues");
                    was_refused = true;
                    continue;
                }
                Err(_) => continue,
                Ok(()) => {}
            }
            was_refused = false;
        }
    }

    fn append(&mut self, messages: &[WorkerMessage]) -> Result<(), LogError> {
        if messages.is_empty() {
            return Ok(());
        }
        if !self.is_sound {
            // What was refused may lie there in part; nothing behind it would be believed.
            self.current.cut()?;
        }
        if !self.is_sound || self.current.bytes() >= SEGMENT_BYTES {
            // Numbers are used up by attempts, too: a file may be left of one that failed.
            self.next_segment += 1;
            let next = Segment::create(&self.dir, &self.worker, self.next_segment - 1)?;
            self.closed.push_back(std::mem::replace(&mut self.current, next).into_closed());
        }
        self.is_sound = false;
        self.current.append(messages)?;
        self.is_sound = true;
        Ok(())
    }

    fn forget(&mut self, through: u64) -> Result<(), LogError> {
        while let Some((path, _)) = self.closed.front().filter(|(_, last)| *last <= through) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(LogError::at(path)(error)),
                _ => self.closed.pop_front(),
            };
        }
        // A message that is acknowledged before its turn has no copy. Those before it must have none either then: an end that
        // is missing would be taken for an attempt that was cut short.
        if self.is_sound { self.current.forget(through) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proto::v1::{Heartbeat, worker_message::Body};

    use super::*;

    const WORKER: WorkerId = WorkerId::from_bytes([7; 8]);

    fn message(sequence: u64) -> WorkerMessage {
        WorkerMessage { sequence, body: Some(Body::Heartbeat(Heartbeat::default())) }
    }

    fn files(dir: &Path) -> Files {
        let current = Segment::create(dir, &WORKER, 1).expect("a segment");
        Files { dir: dir.to_owned(), worker: WORKER, closed: VecDeque::new(), current, next_segment: 2, is_sound: true }
    }

    fn left(dir: &Path) -> Vec<u64> {
        let left = recover(dir).expect("it is read").into_iter().filter(|(worker, _)| *worker == WORKER);
        left.flat_map(|(_, left)| left.messages).map(|message| message.sequence).collect()
    }

    #[test]
    fn the_copy_goes_on_behind_a_write_that_was_cut_short() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut files = files(dir.path());
        files.append(&[message(1), message(2)]).expect("it is written");
        // As a full disk leaves it: a part of the record, and no place for another file under the next number.
        let mut file =
            std::fs::OpenOptions::new().append(true).open(crate::log::path_of(dir.path(), 1)).expect("a file");
        file.write_all(&[9, 0, 0, 0, 1, 2]).expect("it is written");
        std::fs::create_dir(crate::log::path_of(dir.path(), 2)).expect("a directory");
        files.is_sound = false;
        files.append(&[message(3)]).expect_err("the name is taken");
        std::fs::remove_dir(crate::log::path_of(dir.path(), 2)).expect("it is empty");
        files.append(&[message(3), message(4)]).expect("it is written");
        assert_eq!(left(dir.path()), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_acknowledged_leaves_the_disk_a_segment_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut files = files(dir.path());
        for sequence in 1..=3 {
            files.is_sound = false; // So that each begins a segment.
            files.append(&[message(sequence)]).expect("it is written");
        }
        files.forget(2).expect("they are removed");
        assert_eq!(left(dir.path()), [3]);
        files.append(&[message(4)]).expect("it is written");
        files.forget(3).expect("nothing is to be done");
        assert_eq!(left(dir.path()), [3, 4]);
        files.forget(7).expect("it is emptied");
        assert!(left(dir.path()).is_empty());
        files.append(&[message(8)]).expect("it is written");
        assert_eq!(left(dir.path()), [8]);
    }

    #[test]
    fn what_an_earlier_process_left_is_there_until_it_is_acknowledged() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, second, third] = [1, 2, 3].map(|number| WorkerId::from_bytes([number; 8]));
        let say = |worker: &WorkerId, sequences: &[u64]| {
            let mut spools = Spools::open(dir.path()).expect("it opens");
            let (spool, recovered) = spools.continue_as(worker).expect("it opens");
            sequences.iter().for_each(|sequence| spool.append(message(recovered.first_sequence() + sequence)));
            drop(spool);
            spools.sweep(worker).expect("it is swept");
        };
        say(&first, &[0, 1]);
        say(&second, &[]);
        say(&third, &[0]);

        let mut spools = Spools::open(dir.path()).expect("it opens");
        assert_eq!(spools.unsaid(), [first, third]);
        // All that the first left is acknowledged, and the process that said so is killed before it says more.
        let (spool, left) = spools.continue_as(&first).expect("it opens");
        let last = left.messages.last().expect("two were left").sequence;
        assert_eq!((left.messages.len(), left.first_sequence() > last), (2, true));
        spool.acknowledge(last);
        drop(spool);
        drop(spools);

        let mut spools = Spools::open(dir.path()).expect("it opens");
        assert_eq!(spools.unsaid(), [third]);
        let (spool, own) = spools.continue_as(&second).expect("it opens");
        assert!(own.messages.is_empty());
        spools.sweep(&second).expect("it is swept");
        drop(spool);
        assert_eq!(Spools::open(dir.path()).expect("it opens").unsaid(), [third], "nobody has delivered it");
    }

    #[test]
    fn messages_wait_no_longer_than_until_they_are_acknowledged() {
        let mut work = Work { messages: (1..=5).map(message).collect(), acknowledged: 3, ..Work::default() };
        work.drop_acknowledged();
        assert_eq!(work.messages, [message(4), message(5)]);
    }
}
