//! Recipes: a TOML text that is read, checked and ready to be expanded.
//!
//! A text is checked twice. `conform` compares its form with the JSON Schema: unknown keys, types, limits. `check`
//! covers what a schema cannot express: keys that exclude each other, names that do not exist. Remaining problems, such
//! as a warm-up longer than a run, show up during expansion, which is tried once when a recipe is read.

pub mod additions;
mod arms;
mod check;
mod conform;
mod domains;
pub mod error;
pub(crate) mod fixed_search;
pub mod format;
pub mod inline;
mod lines;
mod notes;
mod objective;
pub(crate) mod order;
pub(crate) mod runs;
pub mod schema;
pub(crate) mod search;
pub(crate) mod whole;

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;
use vocabulary::{AdamW, ModelSpec, Objective, Retries, Shape, TensorProgram, encoding};

pub(crate) use arms::Variant;
pub use check::is_plain_name;
pub(crate) use search::limits_of;

use error::{Fault, RecipeError};
use format::{DataRecipe, ModelRecipe, OptimizerRecipe, Parametrization, RecipeFile, RetriesRecipe};
use lines::Lines;
use runs::Run;

/// Largest accepted recipe, in bytes.
pub const MAX_RECIPE_BYTES: u64 = 1 << 20;

/// A recipe that has been read and found valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    file: String,
    text: String,
    contents: RecipeFile,
    variants: Vec<Variant>,
    lines: Lines,
}

impl Recipe {
    /// Reads a recipe from a file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, and like [`Recipe::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RecipeError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => RecipeError::NoFile { file: file.clone() },
            _ => RecipeError::Read { file: file.clone(), source },
        };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > MAX_RECIPE_BYTES {
            return Err(RecipeError::TooLarge { file, bytes, limit: MAX_RECIPE_BYTES });
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        let text = encoding::utf8(bytes).map_err(|source| RecipeError::NotText { file: file.clone(), source })?;
        Self::parse(&file, &text)
    }

    /// Parses a recipe. `file` is its name in messages.
    ///
    /// # Errors
    /// Fails if the text is not TOML, has unknown keys, lacks required ones, or has values outside their limits or
    /// contradicting each other. Only the first fault is reported.
    pub fn parse(file: &str, text: &str) -> Result<Self, RecipeError> {
        let bytes = text.len() as u64;
        if bytes > MAX_RECIPE_BYTES {
            return Err(RecipeError::TooLarge { file: file.to_owned(), bytes, limit: MAX_RECIPE_BYTES });
        }
        let not_toml = |error: &toml::de::Error| {
            let line = error.span().map_or(1, |span| lines::line_of_byte(text, span.start));
            RecipeError::Syntax { file: file.to_owned(), line, reason: error::shown(error.message()) }
        };
        let table = DeTable::parse(text).map_err(|error| not_toml(&error))?;
        let lines = Lines::of(text, table.get_ref());
        if let Some(fault) = conform::faults(table.get_ref(), &schema::schema()).into_iter().next() {
            return Err(locate(fault, file, &lines));
        }
        // The schema accepts nothing that the types refuse; if the two ever differ, serde's message is used.
        let contents = RecipeFile::deserialize(toml::Deserializer::from(table)).map_err(|error| not_toml(&error))?;
        check::check(&contents).map_err(|fault| locate(fault, file, &lines))?;
        let whole: toml::Table = toml::from_str(text).map_err(|error| not_toml(&error))?;
        let variants = arms::variants(&whole, &contents).map_err(|fault| locate(fault, file, &lines))?;
        let recipe = Self { file: file.to_owned(), text: text.to_owned(), contents, variants, lines };
        let runs = recipe.runs()?;
        fixed_search::check(&recipe.contents, &runs).map_err(|fault| recipe.refuse(fault))?;
        Ok(recipe)
    }

    /// The file's name, as given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's folder, which relative paths in the recipe start from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        Path::new(&self.file).parent().unwrap_or(Path::new(""))
    }

    /// The text as written, with comments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The campaign's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.contents.name
    }

    /// The parsed text, key by key; arms hold only their overrides.
    #[must_use]
    pub fn contents(&self) -> &RecipeFile {
        &self.contents
    }

    /// The section `[data]`.
    #[must_use]
    pub fn data(&self) -> &DataRecipe {
        &self.contents.data
    }

    /// The shapes of the sizes, in the recipe's order.
    #[must_use]
    pub fn sizes(&self) -> Vec<(&str, Shape)> {
        self.contents.model.sizes.iter().filter_map(|name| Some((name.as_str(), self.contents.shape(name)?))).collect()
    }

    /// A model of a shape, with the settings that all models of the recipe share.
    #[must_use]
    pub fn model(&self, shape: Shape, vocab: u32) -> ModelSpec {
        self.contents.model(shape, vocab)
    }

    /// The optimiser's settings, without the learning rate.
    #[must_use]
    pub fn optimizer(&self) -> AdamW {
        self.contents.optimizer()
    }

    /// The campaign's retry limits.
    #[must_use]
    pub fn retries(&self) -> Retries {
        let Some(retries) = &self.contents.retries else { return Retries::DEFAULT };
        let &RetriesRecipe { not_started, preempted, failed, backoff_seconds, longest_backoff_seconds } = retries;
        let [backoff_ms, longest_backoff_ms] =
            [backoff_seconds, longest_backoff_seconds].map(|seconds| (seconds * 1e3).round() as u64);
        Retries { not_started, preempted, failed, backoff_ms, longest_backoff_ms }
    }

    /// What is trained: the recipe itself, or each of its arms.
    pub(crate) fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// Every run of every variant, in the recipe's order: sizes, then seeds, then learning rates, then points.
    pub(crate) fn runs(&self) -> Result<Vec<(&Variant, Vec<Run>)>, RecipeError> {
        let of = |variant: &Variant| {
            runs::runs(&variant.contents, self.variants.len()).map_err(|fault| self.refuse(variant.place(fault)))
        };
        self.variants.iter().map(|variant| Ok((variant, of(variant)?))).collect()
    }

    /// The error for a fault of this recipe.
    pub(crate) fn refuse(&self, fault: Fault) -> RecipeError {
        locate(fault, &self.file, &self.lines)
    }
}

impl RecipeFile {
    /// A model of a shape, with the settings that all models of the recipe share.
    pub(crate) fn model(&self, shape: Shape, vocab: u32) -> ModelSpec {
        let ModelRecipe { parametrization, scale_emb, scale_depth, init_std, d_base, .. } = self.model;
        let ModelRecipe { tied, rope_theta, norm_eps, .. } = self.model;
        let paper = TensorProgram::PAPER;
        let tensor_program = match parametrization {
            Parametrization::TensorProgram => TensorProgram {
                scale_emb: scale_emb.unwrap_or(paper.scale_emb),
                scale_depth: scale_depth.unwrap_or(paper.scale_depth),
                init_std: init_std.unwrap_or(paper.init_std),
                d_base: d_base.unwrap_or(paper.d_base),
            },
            Parametrization::Standard => {
                TensorProgram::standard(&shape, init_std.unwrap_or(TensorProgram::STANDARD_INIT_STD))
            }
        };
        ModelSpec { shape, vocab, tied, tensor_program, rope_theta, norm_eps }
    }

    /// What every stage minimises.
    pub(crate) fn objective(&self) -> Objective {
        objective::sum(&self.objective)
    }

    /// The optimiser's settings, without the learning rate.
    pub(crate) fn optimizer(&self) -> AdamW {
        let OptimizerRecipe { beta1, beta2, eps, weight_decay, clip_norm, .. } = self.optimizer;
        AdamW { beta1, beta2, eps, weight_decay, clip_norm }
    }
}

fn locate(fault: Fault, file: &str, lines: &Lines) -> RecipeError {
    let Fault { key, problem, accepted } = fault;
    RecipeError::Key { file: file.to_owned(), line: lines.line(&key), key, problem: Box::new(problem), accepted }
}
