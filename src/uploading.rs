//! Bringing prepared data to where a coordinator keeps its own.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path as StorePath;
use tokio::io::AsyncWriteExt;
use vocabulary::DatasetId;
use worker::Storage;

use crate::logging::say;

/// The file that is sent last: whoever finds it finds the others.
const MANIFEST: &str = "manifest.json";

/// Copies a dataset into the storage of a coordinator, unless it is there.
pub(crate) async fn upload_dataset(id: &DatasetId, dir: &Path, storage_url: &str) -> anyhow::Result<()> {
    let storage = Storage::open(storage_url).context("cannot reach the coordinator's storage from here")?;
    let place = proto::layout::dataset_path(id);
    match storage.directory() {
        Some(root) => copy(dir, &root.join(&place)).with_context(|| format!("cannot copy {id} to {}", root.display())),
        None => send(dir, &storage, &place).await.with_context(|| format!("cannot send {id} to {storage_url}")),
    }
}

/// Copies beside the final place and renames at the end, so that a folder of the dataset's name is complete.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    say(&format!("copying the data to {}", to.display()));
    let partial = to.with_extension(format!("partial-{}", std::process::id()));
    let copied = copy_files(from, &partial).and_then(|()| std::fs::rename(&partial, to));
    if copied.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    // Somebody else may have been faster with the same content.
    if to.is_dir() { Ok(()) } else { copied }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for path in files(from)? {
        let copy = to.join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, &copy)?;
        std::fs::File::open(&copy)?.sync_all()?;
    }
    Ok(())
}

async fn send(from: &Path, storage: &Storage, place: &str) -> anyhow::Result<()> {
    let store = storage.store();
    let at = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        StorePath::from(format!("{place}/{name}"))
    };
    if store.head(&at(Path::new(MANIFEST))).await.is_ok() {
        return Ok(());
    }
    say(&format!("sending the data to {place}"));
    let mut files = files(from)?;
    files.sort_by_key(|path| path.ends_with(MANIFEST));
    for path in files {
        let mut content = tokio::fs::File::open(&path).await?;
        let mut writer = BufWriter::new(store.clone(), at(&path));
        tokio::io::copy(&mut content, &mut writer).await?;
        writer.shutdown().await?;
    }
    Ok(())
}

/// The files of a dataset; it has no folders.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dataset_is_copied_once_and_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, root) = (dir.path().join("from"), dir.path().join("root"));
        std::fs::create_dir_all(&from).expect("made");
        std::fs::create_dir_all(&root).expect("made");
        for name in [MANIFEST, "train.npy"] {
            std::fs::write(from.join(name), name).expect("written");
        }
        let id = DatasetId::from_content(b"a dataset");
        let url = format!("file://{}", root.display());
        upload_dataset(&id, &from, &url).await.expect("copied");
        let copy = root.join(proto::layout::dataset_path(&id));
        assert_eq!(std::fs::read_to_string(copy.join("train.npy")).expect("there"), "train.npy");
        std::fs::remove_file(from.join("train.npy")).expect("removed");
        upload_dataset(&id, &from, &url).await.expect("found");
        assert!(copy.join("train.npy").is_file(), "what is there stays as it is");
        assert_eq!(
            std::fs::read_dir(copy.parent().expect("has one")).expect("there").count(),
            1,
            "nothing is left over"
        );
    }
}
