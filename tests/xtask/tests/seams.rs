//! The page about seams names files that exist.

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
