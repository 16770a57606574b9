//! Keeps checkpoints in memory, so that a stage that continues one that ended here needs no download.

use std::collections::VecDeque;
use std::sync::Arc;

use vocabulary::StageKey;

use super::{Blobs, CheckpointRef};

/// The most recently used checkpoints, within a size limit.
#[derive(Debug)]
pub struct Cache {
    /// Least recently used first.
    entries: VecDeque<Entry>,
    bytes: u64,
    limit: u64,
}

#[derive(Debug)]
struct Entry {
    checkpoint: CheckpointRef,
    blobs: Blobs,
    bytes: u64,
}

impl Cache {
    /// A cache of at most this many bytes. A checkpoint larger than that is not kept.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit }
    }

    /// Inserts a checkpoint. It replaces those of the same stage, and the least recently used ones if necessary.
    pub fn insert(&mut self, checkpoint: CheckpointRef, blobs: Blobs) {
        self.entries.retain(|entry| entry.checkpoint.stage != checkpoint.stage);
        let bytes = blobs.iter().map(|blob| blob.bytes.len() as u64).sum();
        self.entries.push_back(Entry { checkpoint, blobs, bytes });
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
        while self.bytes > self.limit {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.bytes;
        }
    }

    /// The content of a checkpoint, if cached: the same stage and step, and a manifest with the same hash, hence the
    /// same bytes.
    pub fn get(&mut self, wanted: &CheckpointRef) -> Option<Blobs> {
        let same = |entry: &Entry| {
            let CheckpointRef { stage, step, manifest_hash, .. } = entry.checkpoint;
            stage == wanted.stage && step == wanted.step && manifest_hash == wanted.manifest_hash
        };
        let index = self.entries.iter().position(same)?;
        let entry = self.entries.remove(index)?;
        let blobs = Arc::clone(&entry.blobs);
        self.entries.push_back(entry);
        Some(blobs)
    }

    /// Stages with a cached checkpoint.
    pub fn stages(&self) -> impl Iterator<Item = StageKey> + '_ {
        self.entries.iter().map(|entry| entry.checkpoint.stage)
    }
}

#[cfg(test)]
mod tests {
    use trainer::Blob;

    use super::*;

    fn checkpoint(name: &[u8], step: u64) -> CheckpointRef {
        CheckpointRef {
            stage: StageKey::from_content(name),
            step,
            manifest_path: String::new(),
            manifest_hash: blake3::hash(&[name, &step.to_le_bytes()].concat()),
        }
    }

    fn blobs(bytes: usize) -> Blobs {
        Arc::new(vec![Blob { name: "weights".to_owned(), bytes: vec![0; bytes] }])
    }

    #[test]
    fn the_least_recently_used_checkpoint_goes_first() {
        let mut cache = Cache::new(100);
        let (a, b, c) = (checkpoint(b"a", 1), checkpoint(b"b", 1), checkpoint(b"c", 1));
        cache.insert(a.clone(), blobs(40));
        cache.insert(b.clone(), blobs(40));
        assert!(cache.get(&a).is_some());
        cache.insert(c.clone(), blobs(40));
        assert!(cache.get(&b).is_none());
        assert!(cache.get(&a).is_some() && cache.get(&c).is_some());
    }

    #[test]
    fn a_stage_has_its_newest_checkpoint_only_and_other_bytes_are_not_taken_for_it() {
        let mut cache = Cache::new(100);
        cache.insert(checkpoint(b"a", 1), blobs(1));
        cache.insert(checkpoint(b"a", 2), blobs(1));
        assert!(cache.get(&checkpoint(b"a", 1)).is_none());
        assert!(cache.get(&checkpoint(b"a", 2)).is_some());
        let other = CheckpointRef { manifest_hash: blake3::hash(b"other"), ..checkpoint(b"a", 2) };
        assert!(cache.get(&other).is_none());
        assert_eq!(cache.stages().collect::<Vec<_>>(), [StageKey::from_content(b"a")]);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let mut cache = Cache::new(100);
        cache.insert(checkpoint(b"a", 1), blobs(101));
        assert!(cache.get(&checkpoint(b"a", 1)).is_none());
        assert_eq!(cache.bytes, 0);
    }
}
