//! Messages in the order they were said.

use std::collections::{BTreeSet, VecDeque};

use prost::Message;
use proto::v1::{WorkerMessage, worker_message::Body};
use vocabulary::AttemptKey;

/// The messages that are not acknowledged, bounded by their size.
#[derive(Debug)]
pub struct Queue {
    entries: VecDeque<Entry>,
    next_sequence: u64,
    /// How many of the entries were sent on this connection; the rest follow in order.
    sent: usize,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    key: AttemptKey,
    bytes: usize,
    message: WorkerMessage,
}

impl Queue {
    /// An empty queue that counts as full at `limit` bytes. Sequence numbers start at `next_sequence`.
    #[must_use]
    pub fn new(limit: usize, next_sequence: u64) -> Self {
        Self { entries: VecDeque::new(), next_sequence, sent: 0, bytes: 0, limit }
    }

    /// Appends a message of an attempt, and gives it its number.
    pub fn push(&mut self, key: AttemptKey, body: Body) -> &WorkerMessage {
        let message = WorkerMessage { sequence: self.next_sequence, body: Some(body) };
        self.restore(key, message);
        &self.entries.back().expect("one was just appended").message
    }

    /// Appends a message that already has its number, from before a restart. Numbering continues after it.
    pub fn restore(&mut self, key: AttemptKey, message: WorkerMessage) {
        let bytes = message.encoded_len();
        self.bytes += bytes;
        self.next_sequence = self.next_sequence.max(message.sequence + 1);
        self.entries.push_back(Entry { key, bytes, message });
    }

    /// Whether there is no room for more. What has to be said all the same is still taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limit
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A new connection: everything is to be sent again.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Whether something is still to be sent on this connection.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.entries.len()
    }

    /// The next message to send on this connection.
    pub fn next_unsent(&mut self) -> Option<WorkerMessage> {
        let entry = self.entries.get(self.sent)?;
        self.sent += 1;
        Some(entry.message.clone())
    }

    /// Drops what is durable elsewhere: everything up to this number.
    pub fn acknowledge(&mut self, through: u64) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.message.sequence <= through) {
            self.bytes -= entry.bytes;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// Drops all messages of an attempt.
    pub fn drop_attempt(&mut self, key: AttemptKey) {
        self.sent -= self.entries.iter().take(self.sent).filter(|entry| entry.key == key).count();
        self.entries.retain(|entry| entry.key != key);
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
    }

    /// Attempts with a message in the queue.
    #[must_use]
    pub fn attempts(&self) -> BTreeSet<AttemptKey> {
        self.entries.iter().map(|entry| entry.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::AttemptReleased;
    use vocabulary::{Attempt, StageKey};

    use super::*;

    fn key(attempt: u32) -> AttemptKey {
        AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(attempt) }
    }

    fn body(attempt: u32) -> Body {
        Body::AttemptReleased(AttemptReleased { attempt: Some(key(attempt).into()) })
    }

    fn unsent(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.next_unsent()).map(|message| message.sequence).collect()
    }

    #[test]
    fn a_new_connection_gets_everything_again_in_order() {
        let mut queue = Queue::new(1 << 20, 1);
        for attempt in 1..=4 {
            queue.push(key(attempt), body(attempt));
        }
        assert_eq!(unsent(&mut queue), [1, 2, 3, 4]);
        queue.acknowledge(2);
        assert!(!queue.has_unsent());
        queue.rewind();
        queue.push(key(5), body(5));
        assert_eq!(unsent(&mut queue), [3, 4, 5]);
    }

    #[test]
    fn acknowledging_more_than_was_sent_does_not_lose_the_place() {
        let mut queue = Queue::new(1 << 20, 1);
        queue.push(key(1), body(1));
        queue.push(key(2), body(2));
        queue.push(key(3), body(3));
        assert_eq!(queue.next_unsent().map(|message| message.sequence), Some(1));
        queue.acknowledge(2); // From before the connection broke.
        assert_eq!(unsent(&mut queue), [3]);
    }

    #[test]
    fn dropping_an_attempt_keeps_the_place_and_the_others() {
        let mut queue = Queue::new(1 << 20, 1);
        for attempt in [1, 2, 1, 2] {
            queue.push(key(attempt), body(attempt));
        }
        assert_eq!(queue.next_unsent().map(|message| message.sequence), Some(1));
        assert_eq!(queue.next_unsent().map(|message| message.sequence), Some(2));
        queue.drop_attempt(key(1));
        assert_eq!(unsent(&mut queue), [4]);
        assert_eq!(queue.attempts(), BTreeSet::from([key(2)]));
    }

    #[test]
    fn it_is_full_at_its_bound_and_has_room_again_after_an_acknowledgement() {
        let one = Queue::new(1, 1).push(key(1), body(1)).encoded_len();
        let mut queue = Queue::new(2 * one, 1);
        queue.push(key(1), body(1));
        assert!(!queue.is_full());
        queue.push(key(1), body(1));
        assert!(queue.is_full());
        queue.acknowledge(1);
        assert!(!queue.is_full());
    }
}
