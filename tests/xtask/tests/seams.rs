//! The pages that lead to files name files that exist.

use xtask::check::root;

const PAGE: &str = "docs/design/seams.md";

#[test]
fn files_that_an_addition_would_change_exist() {
    let page = std::fs::read_to_string(root().join(PAGE)).expect("a readable page");
    let paths: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(paths.len() > 20, "the page lists files in tables: {paths:?}");
    let missing: Vec<&&str> = paths.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "{PAGE} lists files that are gone: {missing:?}");
}

#[test]
fn the_folders_of_the_architecture_have_the_files_that_it_starts_from() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a readable page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("/` |"));
    let named = rows.flat_map(|(folder, row)| {
        let column = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        // Every other piece stands between backticks.
        let files = column.split('`').skip(1).step_by(2).filter(|name| name.contains(['/', '.']));
        files.map(|file| format!("{folder}/{file}")).collect::<Vec<_>>()
    });
    let named: Vec<String> = named.collect();
    assert!(named.len() > 20, "the table says where to start: {named:?}");
    let missing: Vec<&String> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names files that are gone: {missing:?}");
}
