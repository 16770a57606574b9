//! Resolves paths, directories and globs.

use std::path::{Component, Path, PathBuf};

use super::{Limits, Source, SourceError, SourceFile};
use crate::extract::{Decoding, Format};

/// The files that a path, directory or glob stands for.
pub(super) fn resolve(name: &str, base_dir: &Path, limits: &Limits) -> Result<Source, SourceError> {
    let path = expand_path(name, base_dir)?;
    let files = match Shape::of(&path) {
        Shape::File => vec![named_file(name, &path)?],
        Shape::Directory => matches(name, &path.join("**").join("*"), &path, limits)?,
        Shape::Pattern => matches(name, &path, &literal_prefix(&path), limits)?,
    };
    if files.is_empty() {
        return Err(SourceError::NothingMatched { name: name.to_owned(), path });
    }
    Ok(Source { description: name.to_owned(), files, decoding: Decoding::Strict })
}

/// Expands `~`, `$VARIABLE` and `${VARIABLE}`, and joins a relative path to the base directory.
pub(crate) fn expand_path(name: &str, base_dir: &Path) -> Result<PathBuf, SourceError> {
    let expanded = shellexpand::full(name)
        .map_err(|error| SourceError::UnsetVariable { name: name.to_owned(), variable: error.var_name })?;
    Ok(base_dir.join(expanded.as_ref()))
}

enum Shape {
    File,
    Directory,
    Pattern,
}

impl Shape {
    /// An existing path is taken literally, brackets and all.
    fn of(path: &Path) -> Self {
        if path.is_dir() {
            Self::Directory
        } else if path.is_file() || !is_pattern(path) {
            Self::File
        } else {
            Self::Pattern
        }
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn named_file(name: &str, path: &Path) -> Result<SourceFile, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::NothingMatched { name: name.to_owned(), path: path.to_path_buf() },
        _ => SourceError::Unreadable { name: name.to_owned(), path: path.to_path_buf(), source },
    })?;
    let format = Format::of(path)
        .ok_or_else(|| SourceError::UnknownFormat { name: name.to_owned(), path: path.to_path_buf() })?;
    let parent = path.parent().unwrap_or(Path::new(""));
    Ok(SourceFile { name: portable_name(path, parent), path: path.to_path_buf(), format, bytes: metadata.len() })
}

/// The directories of a pattern before its first wildcard.
fn literal_prefix(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_pattern(Path::new(part.as_os_str()))).collect()
}

/// All matches with an accepted format, sorted by name. Hidden files must be named explicitly.
fn matches(name: &str, pattern: &Path, below: &Path, limits: &Limits) -> Result<Vec<SourceFile>, SourceError> {
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let paths = glob::glob_with(&pattern.to_string_lossy(), options)
        .map_err(|source| SourceError::Pattern { name: name.to_owned(), source })?;
    let mut files = Vec::new();
    for path in paths {
        let unreadable =
            |path: &Path, source| SourceError::Unreadable { name: name.to_owned(), path: path.to_path_buf(), source };
        let path = path.map_err(|error| {
            let place = error.path().to_path_buf();
            unreadable(&place, error.into())
        })?;
        let Some(format) = Format::of(&path) else { continue };
        let metadata = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        if !metadata.is_file() {
            continue;
        }
        if files.len() == limits.max_files {
            return Err(SourceError::TooManyFiles { name: name.to_owned(), limit: limits.max_files });
        }
        files.push(SourceFile { name: portable_name(&path, below), path, format, bytes: metadata.len() });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The path below a directory, with `/` between components on every system.
pub(super) fn portable_name(path: &Path, below: &Path) -> String {
    let below = path.strip_prefix(below).unwrap_or(path);
    let parts = below.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::resolve as resolve_all;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("creates");
            std::fs::write(path, "text").expect("writes");
        }
        dir
    }

    fn names(source: &str, dir: &Path) -> Vec<String> {
        let source = resolve(source, dir, &Limits::default()).expect("resolves");
        source.files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn globs_are_sorted_and_skip_what_is_no_text() {
        let dir = tree(&["b/two.md", "a/one.md", "a/picture.png", "three.md", ".git/four.md"]);
        assert_eq!(names("**/*", dir.path()), ["a/one.md", "b/two.md", "three.md"]);
        assert_eq!(names("a/*.md", dir.path()), ["one.md"]);
        assert_eq!(names(".", dir.path()), ["a/one.md", "b/two.md", "three.md"]);
        assert_eq!(names("b/two.md", dir.path()), ["two.md"]);
    }

    #[test]
    fn names_do_not_say_where_the_files_lie() {
        let (here, there) = (tree(&["x/y.txt", "x/z/y.txt"]), tree(&["x/y.txt", "x/z/y.txt"]));
        let absolute = |dir: &Path| names(&dir.join("x/**/*.txt").to_string_lossy(), Path::new("/"));
        assert_eq!(absolute(here.path()), absolute(there.path()));
        assert_eq!(absolute(here.path()), ["y.txt", "z/y.txt"]);
    }

    #[test]
    fn variables_are_expanded_or_named() {
        let home = std::env::var("HOME").expect("tests run with a home");
        assert_eq!(expand_path("$HOME/x", Path::new("/base")).expect("expands"), Path::new(&home).join("x"));
        assert_eq!(expand_path("~/x", Path::new("/base")).expect("expands"), Path::new(&home).join("x"));
        assert_eq!(expand_path("x", Path::new("/base")).expect("expands"), Path::new("/base/x"));
        let error = expand_path("${WINDTUNNEL_NO_SUCH_VARIABLE}/x", Path::new("/")).expect_err("is not set");
        assert!(error.to_string().contains("WINDTUNNEL_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tree(&["picture.png"]);
        let refuse = |source: &str, limits: Limits| {
            resolve_all(&[source.to_owned()], dir.path(), &limits).expect_err("is refused")
        };
        let limits = Limits::default();
        assert!(matches!(refuse("missing.txt", limits), SourceError::NothingMatched { .. }));
        assert!(matches!(refuse("missing/**/*.txt", limits), SourceError::NothingMatched { .. }));
        assert!(matches!(refuse("picture.png", limits), SourceError::UnknownFormat { .. }));
        assert!(matches!(refuse("***/x.txt", limits), SourceError::Pattern { .. }));
        assert!(matches!(resolve_all(&[], dir.path(), &limits), Err(SourceError::None)));

        std::fs::write(dir.path().join("a.txt"), "12345").expect("writes");
        std::fs::write(dir.path().join("b.txt"), "12345").expect("writes");
        assert!(matches!(refuse("*.txt", Limits { max_files: 1, ..limits }), SourceError::TooManyFiles { .. }));
        assert!(matches!(refuse("*.txt", Limits { max_file_bytes: 4, ..limits }), SourceError::FileTooLarge { .. }));
        assert!(matches!(refuse("*.txt", Limits { max_total_bytes: 9, ..limits }), SourceError::TooMuchText { .. }));
    }
}
