//! Resolves paths, directories and globs.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::left_out::LeftOut;
use super::walk::{Search, walk};
use super::{Limits, Source, SourceError, SourceFile};
use crate::extract::{Decoding, Format};

/// The files that a path, directory or glob stands for.
pub(super) fn resolve(name: &str, base_dir: &Path, limits: &Limits) -> Result<Source, SourceError> {
    let path = expand_path(name, base_dir)?;
    let mut left_out = LeftOut::default();
    // What exists is taken literally, brackets and all.
    let files = if path.is_file() {
        vec![named_file(name, &path)?]
    } else if path.is_dir() {
        matches(name, &path, None, limits, &mut left_out)?
    } else {
        let (folder, pattern) = split_pattern(&path);
        match pattern {
            Some(pattern) if folder.is_dir() || folder.as_os_str().is_empty() => {
                let compiled = glob::Pattern::new(&pattern)
                    .map_err(|source| SourceError::Pattern { name: name.to_owned(), source })?;
                matches(name, &folder, Some(&compiled), limits, &mut left_out)?
            }
            _ => return Err(missing(name, &path, &left_out)),
        }
    };
    if files.is_empty() {
        return Err(missing(name, &path, &left_out));
    }
    Ok(Source { description: name.to_owned(), files, decoding: Decoding::Strict, left_out })
}

fn missing(name: &str, path: &Path, left_out: &LeftOut) -> SourceError {
    let there = if left_out.is_empty() { String::new() } else { format!("; left out: {left_out}") };
    SourceError::NothingMatched { name: name.to_owned(), path: path.to_path_buf(), there }
}

/// Expands `~`, `$VARIABLE` and `${VARIABLE}`, and joins a relative path to the base directory.
pub(crate) fn expand_path(name: &str, base_dir: &Path) -> Result<PathBuf, SourceError> {
    let expanded = shellexpand::full(name)
        .map_err(|error| SourceError::UnsetVariable { name: name.to_owned(), variable: error.var_name })?;
    Ok(base_dir.join(expanded.as_ref()))
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// The folder in which a pattern is searched, and the pattern below it; `None` if no part of the path is a pattern. A
/// folder that exists under its very name is not a pattern.
fn split_pattern(path: &Path) -> (PathBuf, Option<String>) {
    let mut folder = PathBuf::new();
    let mut parts = path.components();
    for part in parts.by_ref() {
        let text = part.as_os_str().to_string_lossy();
        let next = folder.join(part);
        if is_pattern(&text) && !next.is_dir() {
            let rest = parts.map(|part| part.as_os_str().to_string_lossy());
            let pattern: Vec<_> = std::iter::once(text).chain(rest).collect();
            return (folder, Some(pattern.join("/")));
        }
        folder = next;
    }
    (folder, None)
}

fn named_file(name: &str, path: &Path) -> Result<SourceFile, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|source| unreadable(name, path, source))?;
    let (format, compression) = Format::with_compression(path)
        .ok_or_else(|| SourceError::UnknownFormat { name: name.to_owned(), path: path.to_path_buf() })?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let (name, bytes) = (portable_name(path, parent), metadata.len());
    Ok(SourceFile { name, path: path.to_path_buf(), format, compression, bytes })
}

fn unreadable(name: &str, path: &Path, source: io::Error) -> SourceError {
    SourceError::Unreadable { name: name.to_owned(), path: path.to_path_buf(), source }
}

/// The files below a folder that match a pattern and have an accepted format, sorted by name.
fn matches(
    name: &str,
    folder: &Path,
    pattern: Option<&glob::Pattern>,
    limits: &Limits,
    left_out: &mut LeftOut,
) -> Result<Vec<SourceFile>, SourceError> {
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let text = pattern.map(glob::Pattern::as_str).unwrap_or_default();
    let search = Search {
        depth: if pattern.is_none() || text.contains("**") { usize::MAX } else { text.matches('/').count() },
        hidden: text.split('/').any(|part| part.starts_with('.')),
    };
    // Numbers are tokens only where somebody says so: other programs keep other numbers under these endings.
    let last = text.to_ascii_lowercase();
    let names_tokens = |format: Format| match format {
        Format::NumpyTokens => last.ends_with(".npy"),
        Format::HeadedTokens => last.ends_with(".bin"),
        _ => true,
    };
    let mut files = Vec::new();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let error = |path: &Path, source| unreadable(name, path, source);
    walk(folder, search, left_out, &error, &mut |path, bytes, left_out| {
        let below = portable_name(&path, folder);
        if pattern.is_some_and(|pattern| !pattern.matches_with(&below, options)) {
            return Ok(());
        }
        let encoding = Format::with_compression(&path).filter(|(format, _)| names_tokens(*format));
        let Some((format, compression)) = encoding else {
            left_out.add(&path);
            return Ok(());
        };
        if files.len() == limits.max_files {
            return Err(SourceError::TooManyFiles { name: name.to_owned(), limit: limits.max_files });
        }
        let bytes = bytes.map_err(|source| unreadable(name, &path, source))?;
        files.push(SourceFile { name: below, path, format, compression, bytes });
        Ok(())
    })?;
    // Hidden names count as left out where everything is asked for.
    if pattern.is_some_and(|pattern| !pattern.as_str().ends_with('*')) {
        left_out.hidden = 0;
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
        assert!(matches!(refuse("*.txt", Limits { max_files: 1 }), SourceError::TooManyFiles { .. }));
        let nothing = refuse("*.png", limits).to_string();
        assert!(nothing.contains("left out: 1 file .png"), "{nothing}");
    }

    #[test]
    fn names_with_brackets_are_taken_literally_where_they_exist() {
        let dir = tree(&["proj [v2]/notes/a.txt", "proj [v2]/wiki [2024]/b.txt", "proj v/c.txt"]);
        let project = dir.path().join("proj [v2]");
        assert_eq!(names("notes", &project), ["a.txt"]);
        assert_eq!(names("notes/*.txt", &project), ["a.txt"]);
        assert_eq!(names("wiki [2024]/*.txt", &project), ["b.txt"]);
        assert_eq!(names("wiki [2024]/b.txt", &project), ["b.txt"]);
        assert_eq!(names("proj [v]/*.txt", dir.path()).len(), 1, "elsewhere brackets are a pattern");
    }

    #[test]
    fn what_is_not_read_is_counted() {
        let dir = tree(&["a.txt", "b.PDF", "c/d.pdf", "c/e.docx", "Makefile", ".git/config", "f.npy", "g.jsonl.gz"]);
        let source = resolve(".", dir.path(), &Limits::default()).expect("resolves");
        let read: Vec<_> = source.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(read, ["a.txt", "g.jsonl.gz"]);
        let expected = "2 files .pdf, 1 file without an ending, 1 file .docx, 1 file .npy, 1 hidden";
        assert_eq!(source.left_out.to_string(), expected);
        // A pattern asks for some of them.
        assert!(resolve("*.txt", dir.path(), &Limits::default()).expect("resolves").left_out.is_empty());
        assert_eq!(names("*.npy", dir.path()), ["f.npy"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once() {
        use std::os::unix::fs::symlink;
        let dir = tree(&["top.txt", "a/one.txt", "b/two.txt"]);
        let link = |to: &str, from: &str| symlink(dir.path().join(to), dir.path().join(from)).expect("is linked");
        // Two loops, and loops between them.
        link(".", "a/up");
        link(".", "b/up");
        link("b", "a/across");
        link("a", "b/across");
        let source = resolve(".", dir.path(), &Limits::default()).expect("resolves");
        let read: Vec<_> = source.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(read, ["a/one.txt", "b/two.txt", "top.txt"]);
        let links = source.left_out.to_string();
        let told =
            ["`a/across`, which leads to `b`", "`a/up`, which leads to the top"].map(|link| links.contains(link));
        assert!(told == [true; 2] && links.ends_with("another link"), "{links}");
        // A folder that is only linked is read.
        let elsewhere = tree(&["shard.txt"]);
        symlink(elsewhere.path(), dir.path().join("linked")).expect("is linked");
        assert_eq!(names("linked", dir.path()), ["shard.txt"]);
        assert!(names(".", dir.path()).contains(&"linked/shard.txt".to_owned()));
        link("nowhere.txt", "c.txt");
        let error = resolve(".", dir.path(), &Limits::default()).expect_err("leads nowhere").to_string();
        assert!(error.contains("c.txt"), "{error}");
    }
}
