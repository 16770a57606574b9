//! Resolves the `sources` of a recipe to files, in an order independent of the file system.
//!
//! A source is a path, a directory or a glob (`~` and environment variables are expanded, relative paths start at the
//! base directory), or a name: [`TOOLCHAIN_DOCS`] or one of its parts, such as `toolchain-docs/book`.

mod expand;
mod left_out;
mod toolchain;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

use crate::extract::{Compression, Decoding, Format};

pub use left_out::LeftOut;

/// Name of the text available wherever the program was built: the documentation of the Rust toolchain.
pub const TOOLCHAIN_DOCS: &str = "toolchain-docs";

/// A resolved source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Description of the text, for the report.
    pub description: String,
    /// Its files, sorted by name.
    pub files: Vec<SourceFile>,
    /// Treatment of files that are not UTF-8.
    pub decoding: Decoding,
    /// What it holds that is not read.
    pub left_out: LeftOut,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the source's own directory, with `/` between components: the same on every machine.
    pub name: String,
    /// Path on this machine.
    pub path: PathBuf,
    /// Determines how its text is extracted.
    pub format: Format,
    pub compression: Compression,
    /// Size in bytes.
    pub bytes: u64,
}

/// Bounds on what a source may match, so that a mistyped glob ends in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of files, over all sources.
    pub max_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_files: 2_000_000 }
    }
}

/// A source that cannot be used. Every variant is for the recipe's author to fix.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The list of sources is empty.
    #[error("no sources: name at least one, for example \"{TOOLCHAIN_DOCS}\" or \"texts/**/*.md\"")]
    None,
    #[error("source `{name}`: the environment variable `{variable}` is not set")]
    UnsetVariable {
        /// The source, as written in the recipe.
        name: String,
        variable: String,
    },
    /// The glob has a syntax error.
    #[error("source `{name}` is not a valid pattern")]
    Pattern {
        /// The source, as written in the recipe.
        name: String,
        #[source]
        source: glob::PatternError,
    },
    /// The path does not exist, or no file of an accepted format matches.
    #[error("source `{name}`: no file matches `{}`{there} (accepted: {})", path.display(), Format::ACCEPTED)]
    NothingMatched {
        /// The source, as written in the recipe.
        name: String,
        /// The path after expansion.
        path: PathBuf,
        /// What is there instead, as the end of a sentence.
        there: String,
    },
    /// A file that is named explicitly has an unknown extension.
    #[error("source `{name}`: the format of `{}` is not accepted (accepted: {})", path.display(), Format::ACCEPTED)]
    UnknownFormat {
        /// The source, as written in the recipe.
        name: String,
        path: PathBuf,
    },
    /// A file or directory cannot be read.
    #[error("source `{name}`: cannot read `{}`", path.display())]
    Unreadable {
        /// The source, as written in the recipe.
        name: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("source `{name}`: more than {limit} files")]
    TooManyFiles {
        /// The source that exceeded the limit.
        name: String,
        /// Largest accepted number of files.
        limit: usize,
    },
    /// The toolchain's documentation has no part of this name.
    #[error("source `{name}`: the documentation of the Rust toolchain has no such part (accepted: {})", accepted.join(", "))]
    NoSuchPart {
        /// The source, as written in the recipe.
        name: String,
        /// Names of the existing parts.
        accepted: Vec<String>,
    },
    /// The part is not installed.
    #[error("source `{name}`: not found in {docs}; `rustup component add rust-docs` installs the documentation")]
    NoToolchainPart {
        /// The source, as written in the recipe.
        name: String,
        /// Directory where the documentation was expected.
        docs: String,
    },
    /// Neither the toolchain's documentation nor a crate registry was found.
    #[error(
        "source `{TOOLCHAIN_DOCS}`: no documentation of the Rust toolchain (looked in {docs}) and no crate sources to \
         serve instead (looked in {registry}); `rustup component add rust-docs` installs the documentation"
    )]
    NoToolchainDocs {
        /// Directory where the documentation was expected.
        docs: String,
        /// Directory where crate sources were expected.
        registry: String,
    },
}

/// The files of each source, in the order of the sources.
///
/// # Errors
/// Fails at the first source that cannot be used, naming it as the recipe does.
pub fn resolve(sources: &[String], base_dir: &Path, limits: &Limits) -> Result<Vec<Source>, SourceError> {
    if sources.is_empty() {
        return Err(SourceError::None);
    }
    let mut files = 0;
    let mut resolved = Vec::with_capacity(sources.len());
    for name in sources {
        let source = match name.as_str() {
            TOOLCHAIN_DOCS => toolchain::resolve(&toolchain::Locations::of_this_machine(base_dir))?,
            name if let Some(part) = toolchain::part_of(name) => {
                toolchain::resolve_part(part, &toolchain::Locations::of_this_machine(base_dir))?
            }
            pattern => expand::resolve(pattern, base_dir, limits)?,
        };
        files += source.files.len();
        if files > limits.max_files {
            return Err(SourceError::TooManyFiles { name: name.clone(), limit: limits.max_files });
        }
        resolved.push(source);
    }
    Ok(resolved)
}
