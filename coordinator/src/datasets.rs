//! Whether the storage has a dataset, and all of it.

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use proto::layout::{self, MANIFEST};
use serde_json::Value;
use vocabulary::DatasetId;

/// Files that are looked for at the same time.
const AT_ONCE: usize = 16;

/// The longest manifest whose files are looked for. A longer one counts for its files.
const LONGEST_MANIFEST: u64 = 64 << 20;

/// What of a dataset is in the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    Whole,
    /// It has no manifest, which is written last.
    Absent,
    /// A file that the manifest names is not there, or has another size.
    Partial {
        file: String,
    },
}

/// Looks for a dataset: its manifest, and each file that it names, by its size.
pub(crate) async fn look_for(storage: &dyn ObjectStore, dataset: &DatasetId) -> Result<Presence, Error> {
    let folder = layout::dataset_path(dataset);
    let manifest = match storage.get(&Path::from(format!("{folder}/{MANIFEST}"))).await {
        Err(Error::NotFound { .. }) => return Ok(Presence::Absent),
        manifest => manifest?,
    };
    if manifest.meta.size > LONGEST_MANIFEST {
        return Ok(Presence::Whole);
    }
    let text = manifest.bytes().await?;
    let Ok(manifest) = serde_json::from_slice::<Value>(&text) else {
        return Ok(Presence::Partial { file: MANIFEST.to_owned() });
    };
    let mut files = Vec::new();
    named_files(&manifest, &mut files);
    let missing = futures::stream::iter(files).map(|(name, bytes)| {
        let path = Path::from(format!("{folder}/{name}"));
        async move {
            match storage.head(&path).await {
                Ok(found) if found.size == bytes => Ok(None),
                Ok(_) | Err(Error::NotFound { .. }) => Ok(Some(name)),
                Err(error) => Err(error),
            }
        }
    });
    let mut missing = missing.buffered(AT_ONCE).try_filter_map(async |name| Ok(name)).boxed();
    Ok(missing.try_next().await?.map_or(Presence::Whole, |file| Presence::Partial { file }))
}

/// The files that a manifest names, wherever in it: what has a name, a size and a hash is one.
fn named_files(manifest: &Value, files: &mut Vec<(String, u64)>) {
    match manifest {
        Value::Object(fields) => {
            if let (Some(Value::String(name)), Some(bytes), Some(Value::String(_))) =
                (fields.get("name"), fields.get("bytes").and_then(Value::as_u64), fields.get("blake3"))
            {
                files.push((name.clone(), bytes));
            }
            fields.values().for_each(|value| named_files(value, files));
        }
        Value::Array(values) => values.iter().for_each(|value| named_files(value, files)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn only_a_whole_dataset_is_one() {
        let (storage, id) = (InMemory::new(), DatasetId::from_content(b"some text"));
        let put = async |name: &str, content: &[u8]| {
            let path = Path::from(format!("{}/{name}", layout::dataset_path(&id)));
            storage.put(&path, content.to_vec().into()).await.expect("memory takes everything");
        };
        let found = async || look_for(&storage, &id).await.expect("memory answers");
        assert_eq!(found().await, Presence::Absent);
        // As while it is being sent: the manifest comes last.
        put("train-00000.npy", b"12345").await;
        assert_eq!(found().await, Presence::Absent);

        let manifest = br#"{"tokenizer": {"name": "tokenizer.json", "bytes": 2, "blake3": "00"},
            "train": {"documents": 1, "shards": [{"file": {"name": "train-00000.npy", "bytes": 5, "blake3": "00"}}]}}"#;
        put("manifest.json", manifest).await;
        assert_eq!(found().await, Presence::Partial { file: "tokenizer.json".to_owned() });
        put("tokenizer.json", b"{}").await;
        assert_eq!(found().await, Presence::Whole);
        put("train-00000.npy", b"1234").await;
        assert_eq!(found().await, Presence::Partial { file: "train-00000.npy".to_owned() });
        put("manifest.json", b"{").await;
        assert_eq!(found().await, Presence::Partial { file: "manifest.json".to_owned() });
    }
}
