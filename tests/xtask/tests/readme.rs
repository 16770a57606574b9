//! The README opens with two commands. The check must run the one that tests, and the other must name an existing
//! recipe.

use std::path::Path;

use xtask::check::root;
use xtask::parts::Part;

/// Commands of the README's first code block.
fn first_commands(readme: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(readme).expect("there is a README.md");
    let block = text.split("```").nth(1).expect("the README has a block of commands");
    block.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_check_runs_the_test_command_of_the_readme() {
    let commands = first_commands(&root().join("README.md"));
    assert_eq!(commands.get(1), Some(&Part::Test.command_line()), "{commands:?}");
}

#[test]
fn the_first_command_of_the_readme_names_a_recipe_that_is_there() {
    let commands = first_commands(&root().join("README.md"));
    let recipe = commands.first().and_then(|line| line.strip_prefix("cargo run --release -- run ")).expect("a run");
    assert!(root().join(recipe).is_file(), "{recipe}");
}
