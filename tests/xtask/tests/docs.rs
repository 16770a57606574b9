//! Links of the documentation lead to files, and commands it names exist.

use std::path::{Path, PathBuf};

use xtask::check::root;

/// The Markdown files in the root and below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("docs")];
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("a readable folder").path()).collect::<Vec<_>>()
    };
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    pages.extend(entries(root()).into_iter().filter(is_page));
    while let Some(folder) = folders.pop() {
        let (below, files): (Vec<_>, Vec<_>) = entries(&folder).into_iter().partition(|path| path.is_dir());
        folders.extend(below);
        pages.extend(files.into_iter().filter(is_page));
    }
    pages.sort();
    pages
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// Link targets inside the repository, without the part after `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    files.filter_map(|target| target.split('#').next())
}

/// Commands of the program that a page names, in blocks and in running text.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.split("windtunnel ").skip(1).filter_map(|rest| {
        let mut words = rest.split_whitespace();
        loop {
            match words.next()? {
                // Global options that take a value.
                "--data-dir" | "--log" => drop(words.next()),
                option if option.starts_with('-') => {}
                word => break Some(word.trim_end_matches(|letter: char| !letter.is_ascii_lowercase())),
            }
        }
    })
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = text(&page);
        let folder = page.parent().expect("a file is in a folder");
        let lost = links(&text).filter(|target| !folder.join(target).exists());
        broken.extend(lost.map(|target| format!("{}: {target}", page.display())));
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn commands_of_the_guide_and_the_readme_exist() {
    let folder = root().join("src/commands");
    let exists = |name: &str| folder.join(format!("{name}.rs")).is_file() || folder.join(name).is_dir();
    for page in ["README.md", "docs/guide/first-campaign.md"] {
        let text = text(&root().join(page));
        let named: Vec<&str> = commands(&text).collect();
        assert!(named.len() > 10, "{page} names commands: {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{page}");
    }
}

#[test]
fn what_is_not_there_is_found() {
    assert_eq!(links("see [a](b.md#c) and [d](https://e) and [f](#g)").collect::<Vec<_>>(), ["b.md"]);
    let text = "`windtunnel --data-dir /x --json fly`, or\nwindtunnel run x.toml";
    assert_eq!(commands(text).collect::<Vec<_>>(), ["fly", "run"]);
}
