//! Reads a checkpoint's manifest.

use proto::manifest::CheckpointManifest;

/// The input is the file. An accepted manifest must survive a round trip.
pub fn manifest(input: &[u8]) {
    if let Ok(read) = CheckpointManifest::from_json(input) {
        let again = CheckpointManifest::from_json(&read.to_json()).expect("what was read can be written and read");
        assert_eq!(again, read);
    }
}
