//! A checkpoint's manifest.

use proto::manifest::CheckpointManifest;

/// The input is the file. What is accepted is written back as the same manifest.
pub fn manifest(input: &[u8]) {
    if let Ok(read) = CheckpointManifest::from_json(input) {
        let again = CheckpointManifest::from_json(&read.to_json()).expect("what was read can be written and read");
        assert_eq!(again, read);
    }
}
