//! `windtunnel import`

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use transformers::{Imported, import};
use vocabulary::ModelSpec;
use vocabulary::text::{counted, wrapped};

use crate::args::Global;
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::WritableDir;
use crate::views::output;
use crate::views::{FileView, FilesView};

/// Convert a Hugging Face transformers model into a checkpoint
///
/// Supports Granite, Llama and first-generation MiniCPM models without biases, and Mistral models without a window, in
/// one file or several. 16-bit weights are widened to 32 bits.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel import my-model --out my-checkpoint
  windtunnel logits my-checkpoint --tokens tokens.npy --out logits.npy")]
pub(crate) struct Args {
    /// Model folder, with config.json and model.safetensors
    dir: PathBuf,

    /// Folder for the checkpoint
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Write into the folder even if it is not empty, overwriting files of the same names
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct ImportedView {
    format: &'static str,
    model: ModelSpec,
    context: u32,
    /// N: without embedding and head.
    non_embedding_params: u64,
    /// What was not taken over as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(flatten)]
    files: FilesView,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let out = WritableDir::prepare_empty(&self.out, "the folder", self.force)?;
        let Imported { format, snapshot, notes } =
            import(&self.dir).with_context(|| format!("cannot import {}", self.dir.display())).or_bad_input()?;
        let description = snapshot.description.context("an imported checkpoint has a description")?;
        let mut files = Vec::new();
        for blob in snapshot.to_blobs()? {
            let path = out.path().join(&blob.name);
            std::fs::write(&path, &blob.bytes).with_context(|| format!("cannot write {}", path.display()))?;
            files.push(FileView { name: blob.name, bytes: blob.bytes.len() as u64 });
        }
        let imported = ImportedView {
            format: format.name(),
            model: description.model,
            context: description.context,
            non_embedding_params: description.model.shape.non_embedding_params(),
            notes,
            files: FilesView { dir: self.out, files },
        };
        output::print(&imported, global.json)?;
        Ok(Exit::Done)
    }
}

impl output::View for ImportedView {
    fn table(&self) -> String {
        let Self { format, model, non_embedding_params, notes, files, .. } = self;
        let shape = model.shape;
        let notes: String = notes.iter().map(|note| wrapped(&format!("note: {note}"), 6)).collect();
        format!(
            "{format}: {}, {} wide, {} of {}, N = {non_embedding_params}, vocabulary {}\n{notes}{}",
            counted(shape.n_layers, "layer"),
            shape.d_model,
            counted(shape.n_heads, "head"),
            shape.head_dim,
            model.vocab,
            files.table()
        )
    }
}
