//! From the `sources` of a recipe to files, in an order that does not depend on the file system.
//!
//! A source is a path, a directory or a glob (`~` and environment variables are expanded, relative paths start at the
//! base directory), or a name: [`TOOLCHAIN_DOCS`], or one of its parts, as `toolchain-docs/book`.

mod expand;
mod toolchain;

use std::io;
use std::path::{Path, PathBuf};

use crate::extract::Format;

/// The name of the text that is there wherever the program was built: the documentation of the Rust toolchain.
pub const TOOLCHAIN_DOCS: &str = "toolchain-docs";

/// A source, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which text it is, in words for the report.
    pub description: String,
    /// Its files, by name.
    pub files: Vec<SourceFile>,
    /// What happens to files that are not UTF-8.
    pub decoding: Decoding,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path below the source's own directory, with `/` between components: the same on every machine.
    pub name: String,
    /// Where it lies on this one.
    pub path: PathBuf,
    /// How its text is taken out.
    pub format: Format,
    /// Its size.
    pub bytes: u64,
}

/// What happens to files that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// They are refused: people should know what they train on.
    Strict,
    /// Bad bytes become U+FFFD. For text that nobody picked by hand.
    Lossy,
}

/// How much text is accepted, so that a glob with a slip in it ends in a message and not in a full disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files of all sources together.
    pub max_files: usize,
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Bytes of all files together. Extracted text is held in memory, so this bounds that, too.
    pub max_total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_files: 500_000, max_file_bytes: 1 << 30, max_total_bytes: 8 << 30 }
    }
}

/// Why a source cannot be used. Every variant is for the author of the recipe to mend.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The list is empty.
    #[error("no sources: name at least one, for example \"{TOOLCHAIN_DOCS}\" or \"texts/**/*.md\"")]
    None,
    /// An environment variable is not set.
    #[error("source `{name}`: the environment variable `{variable}` is not set")]
    UnsetVariable {
        /// The source as the recipe has it.
        name: String,
        /// The variable.
        variable: String,
    },
    /// The glob has a syntax error.
    #[error("source `{name}` is not a valid pattern")]
    Pattern {
        /// The source as the recipe has it.
        name: String,
        /// Where and why.
        #[source]
        source: glob::PatternError,
    },
    /// The path does not exist, or nothing of an accepted format matches.
    #[error("source `{name}`: no file matches `{}` (accepted: {})", path.display(), Format::ACCEPTED)]
    NothingMatched {
        /// The source as the recipe has it.
        name: String,
        /// What it expanded to.
        path: PathBuf,
    },
    /// A file named outright has an extension of no accepted format.
    #[error("source `{name}`: `{}` has no accepted format (accepted: {})", path.display(), Format::ACCEPTED)]
    UnknownFormat {
        /// The source as the recipe has it.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A file or directory cannot be read.
    #[error("source `{name}`: cannot read `{}`", path.display())]
    Unreadable {
        /// The source as the recipe has it.
        name: String,
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is too large.
    #[error("source `{name}`: `{}` has {bytes} bytes, more than the {limit} accepted", path.display())]
    FileTooLarge {
        /// The source as the recipe has it.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// There are too many files.
    #[error("source `{name}`: more than {limit} files")]
    TooManyFiles {
        /// The source that passed the limit.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// There is too much text.
    #[error("source `{name}`: more than {limit} bytes of files")]
    TooMuchText {
        /// The source that passed the limit.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The toolchain's documentation has no such part.
    #[error("source `{name}`: the documentation of the Rust toolchain has no such part (accepted: {})", accepted.join(", "))]
    NoSuchPart {
        /// The source as the recipe has it.
        name: String,
        /// The names of the parts.
        accepted: Vec<String>,
    },
    /// The part is not installed.
    #[error("source `{name}`: not found in {docs}; `rustup component add rust-docs` installs the documentation")]
    NoToolchainPart {
        /// The source as the recipe has it.
        name: String,
        /// Where the documentation would be.
        docs: String,
    },
    /// Neither the toolchain's documentation nor a crate registry is there.
    #[error(
        "source `{TOOLCHAIN_DOCS}`: no documentation of the Rust toolchain (looked in {docs}) and no crate sources to \
         serve instead (looked in {registry}); `rustup component add rust-docs` installs the documentation"
    )]
    NoToolchainDocs {
        /// Where the documentation would be.
        docs: String,
        /// Where crate sources would be.
        registry: String,
    },
}

/// The files of each source, in the order of the sources.
///
/// # Errors
/// The first source that cannot be used, by its name in the recipe.
pub fn resolve(sources: &[String], base_dir: &Path, limits: &Limits) -> Result<Vec<Source>, SourceError> {
    if sources.is_empty() {
        return Err(SourceError::None);
    }
    let mut files = 0;
    let mut bytes = 0_u64;
    let mut resolved = Vec::with_capacity(sources.len());
    for name in sources {
        let source = match name.as_str() {
            TOOLCHAIN_DOCS => toolchain::resolve(&toolchain::Locations::of_this_machine(base_dir))?,
            name if let Some(part) = toolchain::part_of(name) => {
                toolchain::resolve_part(part, &toolchain::Locations::of_this_machine(base_dir))?
            }
            pattern => expand::resolve(pattern, base_dir, limits)?,
        };
        for file in &source.files {
            files += 1;
            bytes += file.bytes;
            if file.bytes > limits.max_file_bytes {
                return Err(SourceError::FileTooLarge {
                    name: name.clone(),
                    path: file.path.clone(),
                    bytes: file.bytes,
                    limit: limits.max_file_bytes,
                });
            }
            if files > limits.max_files {
                return Err(SourceError::TooManyFiles { name: name.clone(), limit: limits.max_files });
            }
            if bytes > limits.max_total_bytes {
                return Err(SourceError::TooMuchText { name: name.clone(), limit: limits.max_total_bytes });
            }
        }
        resolved.push(source);
    }
    Ok(resolved)
}
