//! The spool's files, and what is found in them.
//!
//! A file is a segment: a header that says whose it is, then records, each with its length and a checksum. Segments are
//! numbered and written one after the other; one goes when all of it is acknowledged. A crash may cut the last record
//! short, and a disk may damage any: what follows is cut off then, in that segment and the ones after it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use prost::Message;
use proto::MAX_MESSAGE_BYTES;
use proto::v1::WorkerMessage;
use tracing::warn;
use vocabulary::WorkerId;

/// Raised whenever messages change so that an older spool would be misread: such a spool is dropped.
const MAGIC: &[u8; 16] = b"windtunnel out 3";
const CHECKSUM: usize = 8;
/// Magic, worker and checksum.
pub(crate) const HEADER: usize = MAGIC.len() + 8 + CHECKSUM;
/// Length and checksum.
const RECORD_HEADER: usize = 4 + CHECKSUM;
const EXTENSION: &str = "spool";
/// Sequence numbers that belong to a segment; more than a process will ever need.
const NUMBERS: u64 = 1 << 32;
/// Numbers of segments end here, so that the last sequence number is one that the store of the coordinator can hold.
const MOST_SEGMENTS: u64 = (1 << 31) - 1;

/// Why the spool cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
pub struct LogError {
    /// Which file or directory.
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl LogError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Its messages, in order. Some may have been acknowledged.
    pub messages: Vec<WorkerMessage>,
    /// The segments they lie in, in order, each with the number of its last message.
    pub segments: Vec<(PathBuf, u64)>,
    /// The number of the next segment: above that of every segment there was. At least one.
    pub next_segment: u64,
}

impl Recovered {
    /// Where the sequence numbers of whoever continues start.
    ///
    /// A number must not be given twice under one identity, or the second message would be taken for a repetition of the
    /// first; and what is left of an earlier process does not say how far it got. But it left the segment it wrote last, and
    /// whoever continues begins another one.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        (self.next_segment - 1) * NUMBERS + 1
    }
}

/// What a segment is found to hold.
#[derive(Debug)]
pub struct Content {
    /// Whose it is. Nobody's, where the header is damaged, or was never written whole.
    pub worker: Option<WorkerId>,
    /// Its messages up to the first that is damaged.
    pub messages: Vec<WorkerMessage>,
    /// How long it is up to there.
    pub sound_bytes: u64,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Reads the segment of this number. `before` is the last message of a worker in the segments before it: what does not come
/// after that is not believed.
///
/// # Errors
/// If the source cannot be read.
pub fn read_segment(source: impl Read, number: u64, before: impl FnOnce(&WorkerId) -> u64) -> io::Result<Content> {
    let mut source = BufReader::new(source);
    let mut content = Content { worker: None, messages: Vec::new(), sound_bytes: 0, is_whole: false };
    let head = read_up_to(&mut source, HEADER)?;
    let Some(worker) = owner(&head) else {
        // A file that is shorter than its header never had a record: nothing is missing.
        content.is_whole = head.len() < HEADER;
        return Ok(content);
    };
    content.worker = Some(worker);
    content.sound_bytes = HEADER as u64;
    let mut last = before(&worker);
    loop {
        let head = read_up_to(&mut source, RECORD_HEADER)?;
        if head.is_empty() {
            content.is_whole = true;
            return Ok(content);
        }
        let Some((length, sum)) = head.split_first_chunk::<4>().filter(|(_, sum)| sum.len() == CHECKSUM) else {
            return Ok(content);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Ok(content);
        }
        let payload = read_up_to(&mut source, length)?;
        if payload.len() < length || checksum(&payload) != sum {
            return Ok(content);
        }
        let Some(message) = WorkerMessage::decode(payload.as_slice())
            .ok()
            .filter(|message| message.sequence > last && message.sequence <= number.saturating_mul(NUMBERS))
        else {
            return Ok(content);
        };
        last = message.sequence;
        content.messages.push(message);
        content.sound_bytes += (RECORD_HEADER + length) as u64;
    }
}

/// Reads this many bytes, or as many as there are.
fn read_up_to(source: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    source.take(bytes as u64).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// The beginning of each segment of a worker.
#[must_use]
pub fn header(worker: &WorkerId) -> Vec<u8> {
    let said = [MAGIC.as_slice(), worker.as_bytes()].concat();
    [said.as_slice(), &checksum(&said)].concat()
}

fn owner(head: &[u8]) -> Option<WorkerId> {
    let worker = head.strip_prefix(MAGIC)?.first_chunk().map(|bytes| WorkerId::from_bytes(*bytes))?;
    (head == header(&worker)).then_some(worker)
}

/// An encoded message as it lies in a segment.
#[must_use]
pub fn record(payload: &[u8]) -> Vec<u8> {
    // A message is far below 4 GiB: the wire's bound is in MiB.
    let length = payload.len() as u32;
    [&length.to_le_bytes(), checksum(payload).as_slice(), payload].concat()
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(payload).as_bytes()[..CHECKSUM]);
    sum
}

/// What is left in `dir`, by worker, in the order of their first segments. Cuts off what is damaged, so that what is written
/// from now on follows something whole.
pub(crate) fn recover(dir: &Path) -> Result<Vec<(WorkerId, Recovered)>, LogError> {
    let mut left: Vec<(WorkerId, Recovered)> = Vec::new();
    let mut damaged: BTreeSet<WorkerId> = BTreeSet::new();
    // Behind a segment that may be anybody's, nothing is believed of anybody.
    let mut is_lost = false;
    let remove = |path: &Path| std::fs::remove_file(path).map_err(LogError::at(path));
    for (number, path) in segments(dir)? {
        let before = |worker: &WorkerId| {
            let known = left.iter().find(|(of, _)| of == worker);
            known.and_then(|(_, known)| known.messages.last()).map_or(0, |message| message.sequence)
        };
        let content =
            File::open(&path).and_then(|file| read_segment(file, number, before)).map_err(LogError::at(&path))?;
        let Some(worker) = content.worker else {
            is_lost |= !content.is_whole;
            if !content.is_whole {
                warn!(path = %path.display(), "dropping a part of the outbox that cannot be read");
            }
            remove(&path)?;
            continue;
        };
        let index = left.iter().position(|(of, _)| *of == worker).unwrap_or_else(|| {
            left.push((worker, Recovered::default()));
            left.len() - 1
        });
        let recovered = &mut left[index].1;
        if is_lost || damaged.contains(&worker) {
            warn!(path = %path.display(), "dropping what follows the damaged part of the outbox");
            remove(&path)?;
            continue;
        }
        if !content.is_whole {
            damaged.insert(worker);
            warn!(path = %path.display(), from = content.sound_bytes, "dropping the damaged end of the outbox");
            let file = OpenOptions::new().write(true).open(&path).map_err(LogError::at(&path))?;
            file.set_len(content.sound_bytes).and_then(|()| file.sync_all()).map_err(LogError::at(&path))?;
        }
        let last = content.messages.last().map_or(0, |message| message.sequence);
        recovered.messages.extend(content.messages);
        recovered.segments.push((path, last));
    }
    Ok(left)
}

/// The number of the next segment: above that of every segment there is.
pub(crate) fn next_segment(dir: &Path) -> Result<u64, LogError> {
    Ok(segments(dir)?.last().map_or(0, |(number, _)| *number) + 1)
}

/// Where the segment of this number lies.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{EXTENSION}"))
}

/// The segments of a directory with their numbers, in order. Files with other names are ignored.
fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::at(dir))? {
        let path = entry.map_err(LogError::at(dir))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| (1..MOST_SEGMENTS).contains(number))
            && path == path_of(dir, number)
        {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::v1::{Goodbye, worker_message::Body};

    use super::*;

    const WORKER: WorkerId = WorkerId::from_bytes([1; 8]);

    fn write(dir: &Path, number: u64, worker: &WorkerId, sequences: &[u64]) {
        let goodbye = |sequence| WorkerMessage { sequence, body: Some(Body::Goodbye(Goodbye::default())) };
        let records = sequences.iter().flat_map(|sequence| record(&goodbye(*sequence).encode_to_vec()));
        let content: Vec<u8> = header(worker).into_iter().chain(records).collect();
        std::fs::write(path_of(dir, number), content).expect("it is written");
    }

    fn sequences(recovered: &Recovered) -> Vec<u64> {
        recovered.messages.iter().map(|message| message.sequence).collect()
    }

    /// What is left of the worker.
    fn of(worker: &WorkerId, dir: &Path) -> Recovered {
        let left = recover(dir).expect("it is read");
        left.into_iter().find_map(|(of, left)| (of == *worker).then_some(left)).unwrap_or_default()
    }

    #[test]
    fn each_worker_left_its_own_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = WorkerId::from_bytes([2; 8]);
        write(dir.path(), 4, &other, &[1, 2]);
        write(dir.path(), 5, &WORKER, &[NUMBERS + 1]);
        std::fs::write(path_of(dir.path(), 6), &header(&WORKER)[..11]).expect("it is written");
        write(dir.path(), 7, &WORKER, &[NUMBERS + 2]);
        write(dir.path(), 8, &other, &[7 * NUMBERS + 1]);
        let left = recover(dir.path()).expect("it is read");
        let left: Vec<_> = left.iter().map(|(worker, left)| (*worker, sequences(left))).collect();
        assert_eq!(left, [(other, vec![1, 2, 7 * NUMBERS + 1]), (WORKER, vec![NUMBERS + 1, NUMBERS + 2])]);
        assert_eq!(next_segment(dir.path()).expect("it is listed"), 9);
        assert!(path_of(dir.path(), 4).exists() && !path_of(dir.path(), 6).exists());
    }

    #[test]
    fn damage_to_what_one_worker_left_takes_nothing_from_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = WorkerId::from_bytes([2; 8]);
        write(dir.path(), 1, &other, &[1, 2]);
        write(dir.path(), 2, &WORKER, &[3, 4]);
        write(dir.path(), 3, &other, &[5]);
        write(dir.path(), 4, &WORKER, &[6]);
        let path = path_of(dir.path(), 1);
        let content = std::fs::read(&path).expect("it is read");
        std::fs::write(&path, &content[..content.len() - 1]).expect("it is cut");
        assert_eq!(sequences(&of(&other, dir.path())), [1], "and nothing behind it");
        assert_eq!(sequences(&of(&WORKER, dir.path())), [3, 4, 6]);

        // A header that is damaged may have been anybody's.
        write(dir.path(), 3, &other, &[5]);
        std::fs::write(path_of(dir.path(), 2), [0; HEADER]).expect("it is written");
        assert!(sequences(&of(&WORKER, dir.path())).is_empty());
        assert_eq!(sequences(&of(&other, dir.path())), [1]);
    }

    #[test]
    fn an_outbox_of_another_version_is_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), 4, &WORKER, &[1, 2]);
        let mut content = std::fs::read(path_of(dir.path(), 4)).expect("it is read");
        let old = [b"windtunnel out 2".as_slice(), WORKER.as_bytes()].concat();
        content[..HEADER].copy_from_slice(&[old.as_slice(), &checksum(&old)].concat());
        std::fs::write(path_of(dir.path(), 4), content).expect("it is written");
        assert!(sequences(&of(&WORKER, dir.path())).is_empty());
        assert!(!path_of(dir.path(), 4).exists());
    }

    #[test]
    fn numbers_that_cannot_be_of_a_segment_and_names_of_others_are_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["18446744073709551615.spool", "7.spool", "000000000000.spool", "x.spool"] {
            std::fs::write(dir.path().join(name), header(&WORKER)).expect("it is written");
        }
        write(dir.path(), 1, &WORKER, &[3, 3, 4]);
        assert_eq!(sequences(&of(&WORKER, dir.path())), [3]);
        assert_eq!(next_segment(dir.path()).expect("it is listed"), 2);

        write(dir.path(), 1, &WORKER, &[3, NUMBERS + 1]);
        assert_eq!(sequences(&of(&WORKER, dir.path())), [3]);
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_a_beginning_is_left_and_more_can_follow(
            segment in 1_u64..=3, place in any::<prop::sample::Index>(), flip in 1_u8.., is_cut in any::<bool>(),
        ) {
            let dir = tempfile::tempdir().expect("a directory");
            for number in 1..=3 {
                write(dir.path(), number, &WORKER, &[10 * number, 10 * number + 1, 10 * number + 2]);
            }
            let path = path_of(dir.path(), segment);
            let mut content = std::fs::read(&path).expect("it is read");
            let place = place.index(content.len());
            if is_cut { content.truncate(place) } else { content[place] ^= flip }
            std::fs::write(&path, content).expect("it is written");

            let recovered = of(&WORKER, dir.path());
            let all: Vec<u64> = (1..=3).flat_map(|number| (0..3).map(move |index| 10 * number + index)).collect();
            let found = sequences(&recovered);
            // A file that was cut inside its header, or between two records, is one in which nothing more was written.
            let is_beginning = all.starts_with(&found);
            prop_assert!(is_beginning || is_cut, "{found:?}");

            let first = Recovered { next_segment: 4, ..Recovered::default() }.first_sequence();
            write(dir.path(), 4, &WORKER, &[first]);
            let again = sequences(&of(&WORKER, dir.path()));
            prop_assert_eq!(again, [found, vec![first]].concat());
        }
    }
}
