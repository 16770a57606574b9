//! `windtunnel data`

use std::path::PathBuf;

use clap::Subcommand;
use corpus::{InspectOptions, Inspection, LeftOut, OpenDataset, Prepared, Sample, inspect, samples};
use recipes::Recipe;
use serde::Serialize;
use vocabulary::text::{counted, wrapped};
use vocabulary::{Dataset, Domain, Tokens};

use crate::args::Global;
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::preparing::{check_sources, prepare_data, without_text};
use crate::views::held_out;
use crate::views::output::{self, View, columns};

/// Prepare or inspect the text of a recipe
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel data prepare recipes/quickstart.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tokenize the text of a recipe, as `run` does before training
    #[command(after_help = "\
Example:
  windtunnel data prepare recipes/quickstart.toml")]
    Prepare {
        /// Recipe file
        recipe: PathBuf,
    },
    /// Show the prepared text of a recipe: documents, tokens and splits
    #[command(after_help = "\
Example:
  windtunnel data inspect recipes/quickstart.toml")]
    Inspect {
        /// Recipe file
        recipe: PathBuf,
    },
}

#[derive(Serialize)]
struct PreparedView {
    dataset: Dataset,
    dir: PathBuf,
    found: bool,
    #[serde(flatten)]
    told: Told,
}

/// What people should know of a preparation.
#[derive(Serialize)]
struct Told {
    /// What the sources hold that was not read.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    left_out: LeftOut,
    /// What was switched off in the tokenizer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Told {
    fn lines(&self) -> String {
        let left_out = (!self.left_out.is_empty()).then(|| format!("left out: {}", self.left_out));
        let lines = left_out.into_iter().chain(self.notes.iter().map(|note| format!("note: {note}")));
        lines.map(|line| wrapped(&line, 2)).collect()
    }
}

#[derive(Serialize)]
struct InspectionView {
    #[serde(flatten)]
    inspection: Inspection,
    /// What the recipe's losses are measured on.
    held_out: Vec<Sample>,
    dir: PathBuf,
    #[serde(flatten)]
    told: Told,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let (Command::Prepare { recipe } | Command::Inspect { recipe }) = &self.command;
        let recipe = Recipe::load(recipe).or_bad_input()?;
        check_sources(&recipe)?;
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        let prepared = prepare_data(&recipe, data_dir.path())?;
        match self.command {
            Command::Prepare { .. } => output::print(&PreparedView::from(prepared), global.json)?,
            Command::Inspect { .. } => {
                output::print(&InspectionView::of(prepared, recipe.data().validation_tokens)?, global.json)?
            }
        }
        Ok(Exit::Done)
    }
}

impl InspectionView {
    fn of(prepared: Prepared, validation_tokens: u64) -> anyhow::Result<Self> {
        let Prepared { dir, dropped, left_out, notes, .. } = prepared;
        // Another preparation may have led to the same dataset and dropped other text.
        let inspection = Inspection { dropped, ..inspect(&dir, &InspectOptions::default())? };
        let held_out = samples(&OpenDataset::open(&dir)?, validation_tokens);
        Ok(Self { inspection, held_out, dir, told: Told { left_out, notes } })
    }
}

impl From<Prepared> for PreparedView {
    fn from(Prepared { dataset, dir, found, left_out, notes, .. }: Prepared) -> Self {
        Self { dataset, dir, found, told: Told { left_out, notes } }
    }
}

impl View for PreparedView {
    fn table(&self) -> String {
        let Dataset { id, vocab, train_tokens, validation_tokens, sources, domains, .. } = &self.dataset;
        let of = |domain: &Domain| {
            let Domain { name, train_tokens, validation_tokens, .. } = domain;
            format!("  {name}: {} to train on, {} held out\n", Tokens(*train_tokens), Tokens(*validation_tokens))
        };
        let domains: String = domains.iter().map(of).collect();
        format!(
            "{id}\n{}: {} tokens to train on, {} held out, vocabulary {vocab}\n{domains}{}\n{}",
            sources.join(", "),
            Tokens(*train_tokens),
            Tokens(*validation_tokens),
            self.dir.display(),
            self.told.lines()
        )
    }
}

impl View for InspectionView {
    fn table(&self) -> String {
        let Inspection { dataset, train_documents, validation_documents, dropped, bytes_per_token, samples } =
            &self.inspection;
        let row = |part: &str, documents: u64, tokens: u64, bytes: u64| {
            [part.to_owned(), documents.to_string(), tokens.to_string(), bytes.to_string()]
        };
        let parts = [
            row("train", *train_documents, dataset.train_tokens, dataset.train_bytes),
            row("held out", *validation_documents, dataset.validation_tokens, dataset.validation_bytes),
        ];
        let mut text = format!(
            "{}\n{}\n{}\n\n{}{}\n\
             vocabulary {}, {bytes_per_token:.3} bytes a token\n\
             omitted: {}, {}, {}{}\n{}",
            dataset.id,
            dataset.sources.join(", "),
            self.dir.display(),
            columns(["", " documents", " tokens", " bytes"], &parts),
            held_out::lines(&self.held_out),
            dataset.vocab,
            counted(dropped.duplicate_documents, "duplicate document"),
            counted(dropped.duplicate_paragraphs, "duplicate paragraph"),
            counted(dropped.empty_documents, "empty document"),
            match dropped.without_text {
                0 => String::new(),
                count => format!(",\n  {}", without_text(count)),
            },
            self.told.lines(),
        );
        for sample in samples {
            text.push_str("\n  ");
            text.push_str(&sample.replace('\n', "\n  "));
            text.push('\n');
        }
        text
    }
}
