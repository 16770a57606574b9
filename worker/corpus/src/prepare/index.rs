//! Remembers which dataset a request led to.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vocabulary::{ContentHash, Dataset, Dropped};

use super::{PrepareError, PrepareRequest, TEXT_KEY, Vocabulary};
use crate::dataset::{WriteError, write_atomically};
use crate::extract::{Compression, Decoding};
use crate::sources::Source;

/// Raised whenever the same text would give another dataset.
const PREPARATION_VERSION: u32 = 2;
/// A file written more recently than this may be written again without its modification time changing.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Files below `prepared/`, one per key.
pub(super) struct Index {
    dir: PathBuf,
}

/// The entry of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its sources are described as this request names them: other sources may have given the same content.
    pub(super) dataset: Dataset,
    /// What the preparation dropped of its text; absent in entries of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dropped: Option<Dropped>,
    /// What else people should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

impl Index {
    pub(super) fn new(datasets_dir: &Path) -> Self {
        Self { dir: datasets_dir.join("prepared") }
    }

    /// Looks up a key. An unreadable entry counts as absent, and is written again.
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let text = std::fs::read_to_string(self.dir.join(format!("{key}.json"))).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn put(&self, key: &str, entry: &Entry) -> Result<(), WriteError> {
        let path = self.dir.join(format!("{key}.json"));
        match serde_json::to_vec_pretty(entry) {
            Ok(json) => write_atomically(&path, &json),
            Err(error) => Err(WriteError::Write { path, source: error.into() }),
        }
    }
}

/// Hashes fields so that different lists of fields never collide by concatenation.
struct Fields(blake3::Hasher);

impl Fields {
    fn new(context: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(context))
    }

    fn add(&mut self, field: &[u8]) -> &mut Self {
        self.0.update(&(field.len() as u64).to_le_bytes()).update(field);
        self
    }

    fn finish(&self) -> ContentHash {
        self.0.finalize().into()
    }
}

/// Hash of everything that determines a dataset apart from the files' content.
pub(super) fn settings(request: &PrepareRequest, sources: &[Source], vocabulary: &Vocabulary) -> ContentHash {
    let mut fields = Fields::new("windtunnel 2026-11 settings of a preparation");
    fields.add(&PREPARATION_VERSION.to_le_bytes());
    match vocabulary {
        Vocabulary::Entries(vocab) => fields.add(b"train").add(&vocab.to_le_bytes()),
        Vocabulary::Given(json, _) => fields.add(b"file").add(json.as_bytes()),
    };
    fields.add(&request.validation_fraction.to_bits().to_le_bytes());
    fields.add(&request.split_seed.to_le_bytes());
    fields.add(&request.max_bytes.unwrap_or(u64::MAX).to_le_bytes());
    for source in sources {
        fields.add(source.description.as_bytes());
        fields.add(&[u8::from(source.decoding == Decoding::Strict)]);
        for file in &source.files {
            fields.add(file.name.as_bytes()).add(format!("{:?}", file.format).as_bytes());
            if file.compression != Compression::None {
                fields.add(format!("{:?}", file.compression).as_bytes());
            }
        }
        fields.add(b"end");
    }
    // A request without domains keeps the key it had before domains existed.
    for text in &request.texts {
        if let Some(domain) = &text.domain {
            fields.add(b"domain").add(domain.as_bytes()).add(&(text.sources.len() as u64).to_le_bytes());
        }
    }
    for text in request.texts.iter().filter(|text| text.text_key() != TEXT_KEY) {
        fields.add(b"text key").add(text.text_key().as_bytes());
    }
    fields.finish()
}

/// The key by content.
pub(super) fn exact_key<'a>(settings: &ContentHash, hashes: impl Iterator<Item = &'a ContentHash>) -> String {
    let mut fields = Fields::new("windtunnel 2026-11 preparation by content");
    fields.add(settings.as_bytes());
    for hash in hashes {
        fields.add(hash.as_bytes());
    }
    format!("exact-{}", fields.finish())
}

/// The key by sizes and times; `None` if a file was modified a moment ago.
pub(super) fn quick_key(settings: &ContentHash, sources: &[Source]) -> Result<Option<String>, PrepareError> {
    let now = SystemTime::now();
    let mut fields = Fields::new("windtunnel 2026-11 preparation by times");
    fields.add(settings.as_bytes());
    for file in sources.iter().flat_map(|source| &source.files) {
        let unreadable = |source| PrepareError::Read { path: file.path.clone(), source };
        let metadata = std::fs::metadata(&file.path).map_err(unreadable)?;
        let modified = metadata.modified().map_err(unreadable)?;
        if now.duration_since(modified).is_ok_and(|age| age < SETTLED_AFTER) {
            return Ok(None);
        }
        let time = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = std::path::absolute(&file.path).map_err(unreadable)?;
        fields.add(path.as_os_str().as_encoded_bytes());
        fields.add(&metadata.len().to_le_bytes()).add(&time.as_nanos().to_le_bytes());
    }
    Ok(Some(format!("quick-{}", fields.finish())))
}
