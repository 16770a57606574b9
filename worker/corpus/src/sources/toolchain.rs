//! The text available wherever the program was built.
//!
//! The documentation that comes with a Rust toolchain is about 7 MB of English prose once markup, code and repetition
//! are removed. It is a component of its own (`rust-docs`), absent from minimal installations; in that case the
//! markdown and crate-level sources that the build downloaded are used instead, and the description says so. Its parts
//! have names of their own, for recipes with several domains, and have no substitute.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::expand::portable_name;
use super::{LeftOut, Source, SourceError, SourceFile, TOOLCHAIN_DOCS};
use crate::extract::{Compression, Decoding, Format};

/// The books, by directory. The order matters: of two equal paragraphs, the earlier one is kept.
const BOOKS: [&str; 13] = [
    "book",
    "cargo",
    "clippy",
    "edition-guide",
    "embedded-book",
    "error_codes",
    "nomicon",
    "reference",
    "rust-by-example",
    "rustc",
    "rustdoc",
    "style-guide",
    "unstable-book",
];

/// The library, in reading order: `std` shows most of what the other two define.
const LIBRARIES: [&str; 3] = ["std", "core", "alloc"];

/// The standard library's source as rustdoc shows it: code, and therefore not part of the whole, which is prose.
const SOURCE: &str = "src";

/// The release notes, a single page.
const RELEASES: &str = "releases";

/// Directories without English prose of their own: translations, older editions (stubs that link to the current one),
/// and the intrinsics of every processor, 40,000 pages of one line each.
const SKIPPED_DIRECTORIES: [&str; 10] =
    ["es", "ja", "ko", "zh", "first-edition", "second-edition", "2018-edition", "arch", "core_arch", "core_simd"];

/// Pages that repeat or list other pages.
const SKIPPED_PAGES: [&str; 4] = ["print.html", "toc.html", "all.html", "404.html"];

/// Where the text may be found.
pub(super) struct Locations {
    /// Root of the toolchain's documentation; `None` if `rustc` does not answer.
    docs: Option<PathBuf>,
    /// Directory of unpacked crates, with one directory per registry.
    registry: PathBuf,
    /// The toolchain's version, for people.
    version: String,
}

impl Locations {
    /// Locations according to `rustc` and the environment. `rustc` runs in the base directory, where a toolchain file
    /// may select another toolchain.
    pub(super) fn of_this_machine(base_dir: &Path) -> Self {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        // A path of one component has an empty parent, in which no program can run.
        let base_dir = if base_dir.as_os_str().is_empty() { Path::new(".") } else { base_dir };
        let ask = |question: &[&str]| {
            let answer = Command::new(&rustc).args(question).current_dir(base_dir).output().ok()?;
            let text = answer.status.success().then(|| String::from_utf8(answer.stdout).ok()).flatten()?;
            Some(text.trim().to_owned())
        };
        // `rustc 1.95.0 (59807616e 2026-04-14)`
        let version = ask(&["--version"]).and_then(|text| text.split(' ').nth(1).map(str::to_owned));
        let sysroot = ask(&["--print", "sysroot"]);
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        Self {
            docs: sysroot.map(|root| Path::new(&root).join("share/doc/rust/html")),
            registry: cargo.join("registry").join("src"),
            version: version.unwrap_or_else(|| "of unknown version".to_owned()),
        }
    }
}

/// The documentation, or else the crates.
pub(super) fn resolve(locations: &Locations) -> Result<Source, SourceError> {
    if let Some(root) = &locations.docs {
        let files = documentation(root)?;
        if !files.is_empty() {
            let description = format!("{TOOLCHAIN_DOCS} (documentation of Rust {})", locations.version);
            return Ok(Source { description, files, decoding: Decoding::Lossy, left_out: LeftOut::default() });
        }
    }
    let (crates, files) = crate_sources(&locations.registry)?;
    if files.is_empty() {
        let docs = locations.docs.as_ref().map(|path| format!("`{}`", path.display()));
        return Err(SourceError::NoToolchainDocs {
            docs: docs.unwrap_or_else(|| "no place: `rustc` does not answer".to_owned()),
            registry: format!("`{}`", locations.registry.display()),
        });
    }
    let description = format!(
        "{TOOLCHAIN_DOCS} (not installed; markdown and sources of {crates} crates the build downloaded instead)"
    );
    Ok(Source { description, files, decoding: Decoding::Lossy, left_out: LeftOut::default() })
}

fn documentation(root: &Path) -> Result<Vec<SourceFile>, SourceError> {
    let mut files = Vec::new();
    for part in BOOKS.into_iter().chain(LIBRARIES) {
        files.extend(pages(root, part)?);
    }
    if !files.is_empty() {
        files.extend(releases(root));
    }
    Ok(files)
}

/// The pages of a book, of a library or of the source.
fn pages(root: &Path, part: &str) -> Result<Vec<SourceFile>, SourceError> {
    let is_page = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        Format::of(path) == Some(Format::Html) && !SKIPPED_PAGES.iter().any(|skipped| name == *skipped)
    };
    let mut pages = Vec::new();
    walk(&root.join(part), &|name| !SKIPPED_DIRECTORIES.contains(&name), &is_page, &mut pages)?;
    for page in &mut pages {
        page.name = portable_name(&page.path, root);
        if part == SOURCE {
            page.format = Format::RustPage;
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}

/// The release notes' page. They exist as markdown, too, but the page has its links resolved into words.
fn releases(root: &Path) -> Option<SourceFile> {
    let name = format!("{RELEASES}.html");
    let path = root.join(&name);
    let bytes = std::fs::metadata(&path).ok()?.len();
    Some(SourceFile { name, path, format: Format::Html, compression: Compression::None, bytes })
}

/// The part that a source names, if it has the form of one.
pub(super) fn part_of(source: &str) -> Option<&str> {
    source.strip_prefix(TOOLCHAIN_DOCS)?.strip_prefix('/')
}

/// One part of the documentation. It has no substitute: a domain of this name must be this text.
pub(super) fn resolve_part(part: &str, locations: &Locations) -> Result<Source, SourceError> {
    let name = format!("{TOOLCHAIN_DOCS}/{part}");
    let all = || BOOKS.into_iter().chain(LIBRARIES).chain([RELEASES, SOURCE]);
    if !all().any(|known| known == part) {
        let accepted = all().map(|part| format!("{TOOLCHAIN_DOCS}/{part}")).collect();
        return Err(SourceError::NoSuchPart { name, accepted });
    }
    let files = match &locations.docs {
        Some(root) if part == RELEASES => releases(root).into_iter().collect(),
        Some(root) => pages(root, part)?,
        None => Vec::new(),
    };
    if files.is_empty() {
        let docs = locations.docs.as_ref().map(|path| format!("`{}`", path.display()));
        let docs = docs.unwrap_or_else(|| "no place: `rustc` does not answer".to_owned());
        return Err(SourceError::NoToolchainPart { name, docs });
    }
    let description = format!("{name} (documentation of Rust {})", locations.version);
    Ok(Source { description, files, decoding: Decoding::Lossy, left_out: LeftOut::default() })
}

/// The markdown of every crate and its `src/lib.rs`, where crates document themselves.
fn crate_sources(registry: &Path) -> Result<(usize, Vec<SourceFile>), SourceError> {
    let is_text = |path: &Path| match Format::of(path) {
        Some(Format::Markdown) => true,
        Some(Format::Rust) => path.ends_with("src/lib.rs"),
        _ => false,
    };
    let mut files = Vec::new();
    walk(registry, &|name| !name.starts_with('.'), &is_text, &mut files)?;
    // Registry directories are named after their host, so a crate is identified by the path below it.
    for file in &mut files {
        let name = portable_name(&file.path, registry);
        file.name = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest).to_owned();
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    let mut crates: Vec<_> = files.iter().filter_map(|file| file.name.split('/').next()).collect();
    crates.dedup();
    Ok((crates.len(), files))
}

/// Every accepted file below a directory that may not exist. Symbolic links are not followed.
fn walk(
    root: &Path,
    enter: &dyn Fn(&str) -> bool,
    accept: &dyn Fn(&Path) -> bool,
    files: &mut Vec<SourceFile>,
) -> Result<(), SourceError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SourceError::Unreadable { name: TOOLCHAIN_DOCS.to_owned(), path, source }
    };
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory == root => return Ok(()),
            entries => entries.map_err(unreadable(&directory))?,
        };
        for entry in entries {
            let entry = entry.map_err(unreadable(&directory))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable(&path))?;
            if kind.is_dir() && enter(&entry.file_name().to_string_lossy()) {
                pending.push(path);
            } else if kind.is_file() && accept(&path) {
                let bytes = entry.metadata().map_err(unreadable(&path))?.len();
                let Some(format) = Format::of(&path) else { continue };
                files.push(SourceFile { name: String::new(), path, format, compression: Compression::None, bytes });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("creates");
            std::fs::write(path, "text").expect("writes");
        }
        dir
    }

    fn locations(docs: &Path, registry: &Path) -> Locations {
        Locations { docs: Some(docs.to_path_buf()), registry: registry.to_path_buf(), version: "1.95.0".to_owned() }
    }

    #[test]
    fn the_documentation_is_read_book_by_book() {
        let docs = tree(&[
            "std/vec/struct.Vec.html",
            "std/all.html",
            "core/arch/x86_64/fn.cpuid.html",
            "book/print.html",
            "book/ch01.html",
            "rust-by-example/ja/hello.html",
            "releases.html",
            "search.index/x.html",
        ]);
        let registry = tree(&["host/a-1.0.0/README.md"]);
        let source = resolve(&locations(docs.path(), registry.path())).expect("is there");
        let names: Vec<_> = source.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["book/ch01.html", "std/vec/struct.Vec.html", "releases.html"]);
        assert_eq!(source.description, "toolchain-docs (documentation of Rust 1.95.0)");
    }

    #[test]
    fn parts_have_names_and_nothing_in_their_place() {
        let docs = tree(&["book/ch01.html", "std/vec/struct.Vec.html", "src/core/option.rs.html", "releases.html"]);
        let registry = tree(&["host/a-1.0.0/README.md"]);
        let here = locations(docs.path(), registry.path());
        let files = |part: &str| {
            let source = resolve_part(part, &here).expect("is there");
            source.files.into_iter().map(|file| (file.name, file.format)).collect::<Vec<_>>()
        };
        assert_eq!(files("book"), [("book/ch01.html".to_owned(), Format::Html)]);
        assert_eq!(files("releases"), [("releases.html".to_owned(), Format::Html)]);
        assert_eq!(files("src"), [("src/core/option.rs.html".to_owned(), Format::RustPage)]);
        assert!(matches!(resolve_part("nomicon", &here), Err(SourceError::NoToolchainPart { .. })));
        let unknown = resolve_part("../etc", &here).expect_err("not a part").to_string();
        assert!(unknown.contains("toolchain-docs/book, toolchain-docs/cargo"), "{unknown}");
        assert_eq!(
            [part_of("toolchain-docs/std"), part_of("toolchain-docs"), part_of("docs/std")],
            [Some("std"), None, None]
        );
    }

    #[test]
    fn crates_serve_where_it_is_absent() {
        let docs = tree(&[]);
        let registry = tree(&["host/b-1.0.0/README.md", "host/a-1.0.0/src/lib.rs", "host/a-1.0.0/src/other.rs"]);
        let source = resolve(&locations(docs.path(), registry.path())).expect("crates are there");
        let names: Vec<_> = source.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a-1.0.0/src/lib.rs", "b-1.0.0/README.md"]);
        assert!(source.description.contains("2 crates"), "{}", source.description);
    }

    #[test]
    fn a_machine_with_neither_is_told_what_to_install() {
        let (docs, registry) = (tree(&[]), tree(&[]));
        let error = resolve(&locations(docs.path(), &registry.path().join("none"))).expect_err("nothing there");
        assert!(error.to_string().contains("rustup component add rust-docs"), "{error}");
    }
}
