//! `windtunnel export`

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use transformers::{Export, Format};

use crate::args::CheckpointArgs;
use crate::args::Global;
use crate::exit::{Exit, OrBadInput};
use crate::local::checkpoint::Checkpoint;
use crate::local::data_dir::WritableDir;
use crate::logging::say;
use crate::views::output;
use crate::views::{FileView, FilesView};

/// Write a checkpoint in a layout that Hugging Face transformers loads
///
/// `granite` is the layout to take unless something else is needed: weights go over as they are, and released versions of
/// transformers compute with them. `llama` folds the scalings of the model into its weights, for whatever reads Llama models.
/// `minicpm` is that of the first MiniCPM models, whose code is published with those.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel export stage_1f2e3d4c --format granite --out my-model
  windtunnel export checkpoints/stage_1f2e3d4c/1-600 --format llama --out llama")]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: CheckpointArgs,

    /// The layout
    #[arg(long, value_enum)]
    format: Layout,

    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Write into the folder even if it is not empty, overwriting files of the same names
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Layout {
    /// GraniteForCausalLM
    Granite,
    /// LlamaForCausalLM, with the scalings folded into the weights
    Llama,
    /// MiniCPMForCausalLM, of the first published models
    Minicpm,
}

#[derive(Serialize)]
struct Exported {
    checkpoint: String,
    step: u64,
    format: &'static str,
    has_tokenizer: bool,
    #[serde(flatten)]
    files: FilesView,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let out = WritableDir::prepare_empty(&self.out, "the folder", self.force)?;
        let checkpoint = Checkpoint::read(&self.checkpoint.checkpoint, &self.checkpoint.coordinator, global)?;
        let tokenizer = checkpoint.tokenizer()?;
        let format = Format::from(self.format);
        let export = Export::new(&checkpoint.snapshot, format, tokenizer.as_ref()).or_bad_input()?;
        let written = export.write(out.path())?;
        if tokenizer.is_none() {
            say(&match checkpoint.snapshot.description.and_then(|description| description.dataset) {
                Some(dataset) => format!("no tokenizer exported: {dataset} is not available (give --data-dir)"),
                None => "no tokenizer exported: the checkpoint names no dataset".to_owned(),
            });
        }
        let files = written.iter().map(|file| FileView { name: file.name.to_owned(), bytes: file.bytes }).collect();
        let exported = Exported {
            checkpoint: checkpoint.name,
            step: checkpoint.snapshot.step,
            format: format.name(),
            has_tokenizer: tokenizer.is_some(),
            files: FilesView { dir: self.out, files },
        };
        output::print(&exported, global.json)?;
        Ok(Exit::Done)
    }
}

impl From<Layout> for Format {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Granite => Self::Granite,
            Layout::Llama => Self::Llama,
            Layout::Minicpm => Self::MiniCpm,
        }
    }
}

impl output::View for Exported {
    fn table(&self) -> String {
        let Self { checkpoint, step, format, files, .. } = self;
        format!("{checkpoint}, after {step} steps, as {format}\n{}", files.table())
    }
}
