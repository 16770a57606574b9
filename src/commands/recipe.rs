//! `windtunnel recipe`

use std::path::PathBuf;

use clap::Subcommand;
use recipes::Recipe;
use serde::Serialize;
use vocabulary::text::{counted, wrapped};

use crate::args::Global;
use crate::exit::{Exit, OrBadInput};
use crate::views::output::{self, View};

/// Check a recipe, or print the recipe format
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel recipe check recipes/quickstart.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON Schema of the recipe format, for editors
    #[command(after_help = "\
Example:
  windtunnel recipe schema > recipe.schema.json")]
    Schema,
    /// Check a recipe without its data
    #[command(after_help = "\
Example:
  windtunnel recipe check recipes/quickstart.toml")]
    Check {
        /// Recipe file
        recipe: PathBuf,
    },
}

#[derive(Serialize)]
struct Checked {
    file: String,
    name: String,
    sizes: Vec<Size>,
    trials: usize,
    /// Those that do not depend on the results of others.
    planned: usize,
    stages: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Size {
    name: String,
    n: u64,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self.command {
            // JSON is the schema's only form.
            Command::Schema => output::write(&format!("{}\n", serde_json::to_string_pretty(&recipes::schema())?))?,
            Command::Check { recipe } => {
                let recipe = Recipe::load(&recipe).or_bad_input()?;
                output::print(&Checked::of(&recipe)?, global.json)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Checked {
    fn of(recipe: &Recipe) -> anyhow::Result<Self> {
        let sizes = recipe.sizes().into_iter();
        let sizes = sizes.map(|(name, shape)| Size { name: name.to_owned(), n: shape.non_embedding_params() });
        // How many stages there are does not depend on the vocabulary, which only the prepared data knows where the
        // recipe brings its own tokenizer.
        let any_data = vocabulary::Dataset {
            id: vocabulary::DatasetId::from_content(b"any"),
            vocab: recipe.data().vocab.unwrap_or(257),
            train_tokens: u64::MAX,
            validation_tokens: u64::MAX,
            train_bytes: 1,
            validation_bytes: 1,
            sources: Vec::new(),
            domains: recipe.data().domain_names().into_iter().map(any_domain).collect(),
        };
        let plan = recipes::expand(recipe, &any_data).or_bad_input()?;
        Ok(Self {
            file: recipe.file().to_owned(),
            name: recipe.name().to_owned(),
            sizes: sizes.collect(),
            trials: plan.trials_in_the_end(),
            planned: plan.trials.len(),
            stages: plan.stages.len(),
            notes: recipe.notes(),
        })
    }
}

fn any_domain(name: &str) -> vocabulary::Domain {
    vocabulary::Domain {
        name: name.to_owned(),
        train_tokens: u64::MAX,
        validation_tokens: u64::MAX,
        train_bytes: 1,
        validation_bytes: 1,
    }
}

impl View for Checked {
    fn table(&self) -> String {
        let Self { file, name, sizes, trials, planned, stages, notes } = self;
        let sizes: Vec<String> = sizes.iter().map(|size| size.name.clone()).collect();
        let notes: String = notes.iter().map(|note| wrapped(&format!("note: {note}"), 2)).collect();
        let stages = counted(*stages, "stage");
        let points = if planned < trials {
            format!("up to {trials} trials, the first {planned} of them in {stages}")
        } else {
            format!("{} in {stages}", counted(*trials, "point"))
        };
        format!("{file}: valid: {name}, {points}, sizes {}\n{notes}", sizes.join(", "))
    }
}
