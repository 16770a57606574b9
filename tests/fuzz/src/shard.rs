//! Reads a prepared dataset: its manifest and its token shards.

use std::cell::OnceCell;
use std::path::Path;

use corpus::OpenDataset;
use tempfile::TempDir;
use vocabulary::Batch;

/// Vocabulary size that the shard lengths assume.
const VOCAB: u32 = 4;

/// An even first byte makes the rest the manifest, beside valid files. An odd one makes the rest a shard with as many
/// tokens as the second byte says, beside a manifest that matches it. A dataset that opens must be readable throughout.
pub fn shard(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let (manifest, shard) = if kind % 2 == 0 {
        (rest.to_vec(), npy(&[0, 1, 2, 3, 0]))
    } else {
        let Some((tokens, content)) = rest.split_first() else { return };
        (manifest(u64::from(*tokens), content.len()).into_bytes(), content.to_vec())
    };
    thread_local! { static PLACE: OnceCell<TempDir> = const { OnceCell::new() } }
    PLACE.with(|place| {
        // One folder per thread for all inputs: creating it takes most of the time.
        let dir = place.get_or_init(|| tempfile::tempdir().expect("a folder")).path();
        write(dir, "manifest.json", &manifest);
        write(dir, "shard.npy", &shard);
        write(dir, "bytes.npy", &npy(&[1; VOCAB as usize]));
        write(dir, "tokenizer.json", b"{}");
        let Ok(data) = OpenDataset::open(dir) else { return };
        let _ = data.verify();
        let batch = Batch { sequences: 2, context: 2, micro_sequences: 1, lanes: 1 };
        for step in [0, 1, u64::MAX] {
            let _ = data.train_batch(7, step, &batch);
        }
        for tokens in [1, data.dataset().validation_tokens] {
            if let Ok(held_out) = data.validation(tokens, 2) {
                let _ = (held_out.bytes(), held_out.count());
            }
        }
    });
}

fn write(dir: &Path, name: &str, content: &[u8]) {
    std::fs::write(dir.join(name), content).expect("there is room");
}

/// A manifest in which one shard is both the training and the held-out part.
#[must_use]
pub fn manifest(tokens: u64, bytes: usize) -> String {
    let file =
        |name: &str, bytes: usize| format!(r#"{{"name":"{name}","bytes":{bytes},"blake3":"{}"}}"#, "0".repeat(64));
    let shard = format!(r#"{{"file":{},"tokens":{tokens}}}"#, file("shard.npy", bytes));
    let split = format!(r#"{{"documents":1,"shards":[{shard}]}}"#);
    let predicted = tokens.saturating_sub(1);
    format!(
        r#"{{"format_version":1,"dataset":{{"id":"data_{}","vocab":{VOCAB},"train_tokens":{predicted},
        "validation_tokens":{predicted},"train_bytes":4,"validation_bytes":4,"sources":[]}},"end_of_document":0,
        "tokenizer":{},"token_bytes":{},"train":{split},"validation":{split},
        "dropped":{{"empty_documents":0,"duplicate_documents":0,"duplicate_paragraphs":0}}}}"#,
        "0".repeat(32),
        file("tokenizer.json", 2),
        file("bytes.npy", npy(&[1; VOCAB as usize]).len()),
    )
}

/// A valid `.npy` file of these numbers.
#[must_use]
pub fn npy(numbers: &[u16]) -> Vec<u8> {
    let header = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({},), }}", numbers.len());
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(format!("{header:117}\n").bytes());
    file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    file
}
