//! Reads the manifest of a dataset that a client sends.

use vocabulary::{DatasetManifest, dataset_manifest::MANIFEST};

/// The input is the manifest. One that is accepted names the dataset by its content, and files that stay in its folder.
pub fn dataset(input: &[u8]) {
    let Ok(read) = DatasetManifest::from_json(input) else { return };
    assert_eq!(read.dataset.id, read.content_id());
    for file in read.files() {
        assert!(!file.name.contains(['/', '\\', '\0']) && !file.name.starts_with('.') && file.name != MANIFEST);
    }
    let again = serde_json::to_vec(&read).expect("a manifest always has a JSON form");
    assert_eq!(DatasetManifest::from_json(&again).expect("what was read can be read again"), read);
}
