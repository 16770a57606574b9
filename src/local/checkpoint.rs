//! Reading a checkpoint: from a local folder, or from a stage known to a coordinator.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use client::Campaigns;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use proto::layout::{MANIFEST, dataset_path};
use proto::manifest::CheckpointManifest;
use proto::v1::Info;
use storage::StorageId;
use trainer::Snapshot;
use trainer::snapshot::WEIGHTS;
use transformers::{TokenizerFile, import};
use vocabulary::{ContentHash, DatasetId};
use worker::Storage;
use worker::checkpoint::{CheckpointRef, download};

use super::data_dir::data_dir;
use super::reach::{storage, with_reader};
use crate::args::{CoordinatorArgs, Global};
use crate::exit::{OrBadInput, bad_input};

/// Present in folders of exported models.
const CONFIG: &str = "config.json";

/// A checkpoint in memory.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) snapshot: Snapshot,
    /// Its folder, or stage and step.
    pub(crate) name: String,
    /// The storage that may hold its dataset.
    storage: Option<Storage>,
}

impl Checkpoint {
    /// Reads the checkpoint named as in [`CheckpointArgs`](crate::args::CheckpointArgs), verifying every known hash.
    pub(crate) fn read(named: &str, coordinator: &CoordinatorArgs, global: &Global) -> anyhow::Result<Self> {
        let path = Path::new(named);
        if path.exists() {
            let snapshot = read_folder(path).or_bad_input()?;
            // The data directory may not be one of a coordinator.
            let address = coordinator::storage_address(&data_dir(global)?);
            let storage = address.ok().and_then(|address| Storage::open(&address).ok());
            return Ok(Self { snapshot, name: named.to_owned(), storage });
        }
        let (stage, step) = stage_and_step(named).or_bad_input()?;
        with_reader(global, coordinator, async |campaigns| fetch(campaigns, stage, step).await)
    }

    /// The tokenizer of its dataset, if the dataset is available.
    pub(crate) fn tokenizer(&self) -> anyhow::Result<Option<TokenizerFile>> {
        let dataset = self.snapshot.description.and_then(|description| description.dataset);
        match (dataset, &self.storage) {
            (Some(dataset), Some(storage)) => crate::local::runtime()?.block_on(read_tokenizer(storage, &dataset)),
            _ => Ok(None),
        }
    }
}

/// A stage key or a prefix of it, optionally followed by `@STEP`.
pub(crate) fn stage_and_step(text: &str) -> anyhow::Result<(&str, Option<u64>)> {
    let (stage, step) = text.split_once('@').map_or((text, None), |(stage, step)| (stage, Some(step)));
    ensure!(stage.starts_with("stage_"), "`{text}` is neither a folder nor a stage key");
    let step = step.map(|step| step.parse().with_context(|| format!("`{step}` in `{text}` is not a step")));
    Ok((stage, step.transpose()?))
}

/// Reads a stage's checkpoint at a step, or its last one, from a coordinator's storage.
pub(crate) async fn fetch(campaigns: &mut Campaigns, stage: &str, step: Option<u64>) -> anyhow::Result<Checkpoint> {
    let found = campaigns.checkpoint(stage, step).await?;
    let wanted = CheckpointRef {
        stage: found.stage.parse().context("the coordinator returned an invalid stage key")?,
        step: found.step,
        manifest_hash: blake3::Hash::from_hex(&found.manifest_hash)
            .context("the coordinator returned an invalid hash")?,
        manifest_path: found.manifest_path,
    };
    let name = format!("{}@{}", wanted.stage.short(), wanted.step);
    let is_its_own = proto::layout::is_manifest_path(&wanted.manifest_path, &wanted.stage, wanted.step);
    ensure!(is_its_own, "the coordinator returned an impossible path for {name}: {:?}", wanted.manifest_path);
    let storage = storage(campaigns).await?;
    let blobs = download(storage.store().as_ref(), &wanted).await.with_context(|| format!("cannot read {name}"))?;
    let weights = blobs.iter().find(|blob| blob.name == WEIGHTS).with_context(|| format!("{name} has no {WEIGHTS}"))?;
    let snapshot =
        Snapshot::from_weights(&weights.bytes).with_context(|| format!("cannot use {name}")).or_bad_input()?;
    Ok(Checkpoint { snapshot, name, storage: Some(storage) })
}

/// Reads the weights in a folder, or in the folder of a given file. If there is a manifest, the weights must match it;
/// imported checkpoints have none.
fn read_folder(path: &Path) -> anyhow::Result<Snapshot> {
    let dir = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    if !path.is_dir() && !path.file_name().is_some_and(|name| name == WEIGHTS || name == MANIFEST) {
        return Err(anyhow!("{} is not a checkpoint: expected a folder with {WEIGHTS}", path.display()));
    }
    let weights_path = dir.join(WEIGHTS);
    if !weights_path.exists() && dir.join(CONFIG).is_file() {
        let imported = import(dir).with_context(|| format!("cannot import {}", dir.display()))?;
        return Ok(imported.snapshot);
    }
    let weights = read(&weights_path)?;
    let manifest_path = dir.join(MANIFEST);
    if manifest_path.is_file() {
        let manifest = CheckpointManifest::from_json(&read(&manifest_path)?)
            .with_context(|| format!("cannot use {}", manifest_path.display()))?;
        let entry = manifest.blobs.iter().find(|blob| blob.name == WEIGHTS);
        let is_same = entry.is_some_and(|entry| entry.blake3 == blake3::hash(&weights).to_hex().as_str());
        ensure!(is_same, "{} is damaged: its hash differs from the manifest", weights_path.display());
    }
    Snapshot::from_weights(&weights).with_context(|| format!("cannot use {}", dir.display()))
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The tokenizer of a dataset; `None` if the storage has no such dataset.
pub(crate) async fn read_tokenizer(storage: &Storage, id: &DatasetId) -> anyhow::Result<Option<TokenizerFile>> {
    let place = dataset_path(id);
    let get = async |name: &str| {
        let found = storage.store().get(&StorePath::from(format!("{place}/{name}"))).await?;
        found.bytes().await
    };
    let manifest = match get(MANIFEST).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        manifest => manifest.with_context(|| format!("cannot read the manifest of {id}"))?,
    };
    let manifest: corpus::Manifest =
        serde_json::from_slice(&manifest).with_context(|| format!("cannot use the manifest of {id}"))?;
    let file = &manifest.tokenizer;
    let json = get(&file.name).await.with_context(|| format!("cannot read the tokenizer of {id}"))?;
    if ContentHash::of(&json) != file.blake3 {
        return Err(bad_input(anyhow!("the tokenizer of {id} is damaged: its hash differs from the manifest")));
    }
    let json = String::from_utf8(json.to_vec()).with_context(|| format!("the tokenizer of {id} is not valid UTF-8"))?;
    Ok(Some(TokenizerFile { json, end_of_document: manifest.end_of_document }))
}

/// The tokenizer of a dataset in the coordinator's storage, as `tokenizer.json` has it: from the storage if this process can
/// read it, otherwise from the coordinator. `None` if the storage no longer has the dataset.
pub(crate) async fn tokenizer_of(campaigns: &mut Campaigns, dataset: &DatasetId) -> anyhow::Result<Option<String>> {
    let Info { storage: url, storage_id, .. } = campaigns.info().await?;
    let Ok(id) = storage_id.parse::<StorageId>() else {
        let storage = storage(campaigns).await?;
        return Ok(read_tokenizer(&storage, dataset).await?.map(|tokenizer| tokenizer.json));
    };
    if let Ok(storage) = Storage::open(&url)
        && matches!(StorageId::of(storage.store().as_ref()).await, Ok(Some(found)) if found == id)
        && let Ok(tokenizer) = read_tokenizer(&storage, dataset).await
    {
        return Ok(tokenizer.map(|tokenizer| tokenizer.json));
    }
    let json = campaigns.tokenizer(dataset).await?;
    Ok(Some(String::from_utf8(json).with_context(|| format!("the tokenizer of {dataset} is not valid UTF-8"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_may_be_followed_by_a_step() {
        assert_eq!(stage_and_step("stage_7f").expect("is one"), ("stage_7f", None));
        assert_eq!(stage_and_step("stage_7f@120").expect("is one"), ("stage_7f", Some(120)));
        for wrong in ["stage_7f@", "stage_7f@x", "somewhere", "somewhere@3"] {
            stage_and_step(wrong).expect_err(wrong);
        }
    }
}
