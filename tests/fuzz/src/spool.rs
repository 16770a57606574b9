//! Restores a worker's outbox from a segment's bytes.

use outbox::{Recovered, header, read_segment, record, restored};
use prost::Message;
use proto::v1::WorkerMessage;
use vocabulary::WorkerId;

const WORKER: WorkerId = WorkerId::from_bytes(*b"fuzzfuzz");
const SEGMENT: u64 = 3;

/// An even first byte makes the rest a whole file. An odd one makes the rest a series of records, each with its length
/// in its first byte; they get the header and checksums that a fuzzer would not guess.
pub fn spool(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let file = if kind % 2 == 0 { rest.to_vec() } else { framed(rest) };
    let content = read_segment(file.as_slice(), SEGMENT, |_| 0).expect("memory can be read");
    assert!(content.sound_bytes <= file.len() as u64);
    assert!(content.messages.is_sorted_by(|before, after| before.sequence < after.sequence));

    // Cutting off the damaged rest must not change what is found.
    let sound = &file[..content.sound_bytes as usize];
    let again = read_segment(sound, SEGMENT, |_| 0).expect("memory can be read");
    // Compares bytes, because a loss may be NaN, which equals nothing.
    let bytes = |messages: &[WorkerMessage]| messages.iter().map(Message::encode_to_vec).collect::<Vec<_>>();
    assert!(again.is_whole && bytes(&again.messages) == bytes(&content.messages));

    let recovered = Recovered { messages: content.messages, segments: Vec::new(), next_segment: SEGMENT + 1 };
    let (first, left) = (recovered.first_sequence(), recovered.messages.len());
    let mut queue = restored(recovered, 1 << 20);
    let said: Vec<_> = std::iter::from_fn(|| queue.next_unsent()).map(|message| message.sequence).collect();
    let new = said.iter().filter(|sequence| **sequence >= first).count();
    assert!(said.is_sorted_by(|before, after| before < after) && said.len() - new <= left);
    queue.acknowledge(first + new as u64);
    assert!(queue.is_empty());
}

fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut file = header(&WORKER);
    while let Some((length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(after.len().min(usize::from(*length)));
        file.extend(record(payload));
        rest = after;
    }
    file
}
