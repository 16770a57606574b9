//! Pieces that arrived out of order.
//!
//! A client has several pieces of a file on their way, and they may arrive in any order. What came early waits in memory, so it
//! does not count as received: after a restart the client is told to send it again.

use std::collections::BTreeMap;

use proto::limits::{MAX_PIECE_BYTES, PIECES_AT_ONCE};

/// The early pieces of one file: clients send one file after the other.
#[derive(Debug, Default)]
pub(super) struct Early {
    file: String,
    /// By their offsets.
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Early {
    /// Keeps a piece until the bytes before it have arrived. One that is too far ahead is not kept: it is sent again.
    pub(super) fn keep(&mut self, file: &str, received: u64, offset: u64, content: Vec<u8>) {
        if self.file != file {
            *self = Self { file: file.to_owned(), pieces: BTreeMap::new() };
        }
        self.pieces.retain(|offset, _| *offset > received);
        let reach = (PIECES_AT_ONCE * MAX_PIECE_BYTES) as u64;
        let has_room = self.pieces.len() + 1 < PIECES_AT_ONCE || self.pieces.contains_key(&offset);
        if has_room && offset > received && offset - received < reach && !content.is_empty() {
            self.pieces.insert(offset, content);
        }
    }

    /// The piece that begins where a file ends so far.
    pub(super) fn next(&mut self, file: &str, received: u64) -> Option<Vec<u8>> {
        if self.file == file { self.pieces.remove(&received) } else { None }
    }

    /// Forgets what waits of a file that begins anew.
    pub(super) fn forget(&mut self, file: &str) {
        if self.file == file {
            self.pieces.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_of_one_file() {
        let mut early = Early::default();
        for offset in [8, 4, 16, 12, 20] {
            early.keep("a", 0, offset, vec![1; 4]);
        }
        assert_eq!(
            early.pieces.keys().copied().collect::<Vec<_>>(),
            [4, 8, 16],
            "no more than a client has on the way"
        );
        early.keep("a", 8, (PIECES_AT_ONCE * MAX_PIECE_BYTES) as u64 + 8, vec![1; 4]);
        assert_eq!(early.pieces.keys().copied().collect::<Vec<_>>(), [16], "what has arrived meanwhile is not needed");
        assert_eq!(early.next("b", 16), None);
        early.keep("b", 0, 4, vec![2; 4]);
        assert_eq!((early.next("a", 16), early.next("b", 4)), (None, Some(vec![2; 4])));
        early.keep("b", 8, 12, Vec::new());
        early.keep("b", 8, 16, vec![3]);
        early.forget("b");
        assert!(early.pieces.is_empty());
    }
}
