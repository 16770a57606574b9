//! `cargo xtask cases FOLDER`: inputs from the field, and whether the program does with each what is right.
//!
//! The inputs live outside of the repository, one folder a case. What is right is kept here, by the name of the folder, in
//! `expected/`. A case passes if one of the ways to be right fits: to read an input, say, or to name what is wrong with it.

mod expected;
mod program;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::check;
use expected::Case;
use program::Program;

/// Runs the cases of a folder, all or those whose name begins with one of `only`, and returns whether all are as expected.
///
/// # Errors
/// Fails if the program does not build, or an expectation cannot be read.
pub fn run(folder: &Path, only: &[String]) -> Result<bool> {
    let cases = expected::all()?;
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return Ok(true);
    }
    let program = Program::new(check::program()?);
    let (mut failed, mut absent) = (0, BTreeMap::new());
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|case| only.is_empty() || only.iter().any(|name| case.id.starts_with(name.as_str())))
        .collect();
    ensure!(!chosen.is_empty(), "no case has a name that begins so");
    for case in &chosen {
        let inputs = folder.join(&case.folder);
        if !inputs.is_dir() {
            absent.insert(&case.folder, ());
            continue;
        }
        match program.judge(case, &inputs).with_context(|| format!("case {}", case.id))? {
            Ok(()) => println!("ok      {:<5} {}", case.id, case.folder),
            Err(why) => {
                failed += 1;
                println!("failed  {:<5} {}\n        {}", case.id, case.folder, why.join("\n        "));
            }
        }
    }
    absent.keys().for_each(|name| println!("absent  {name}"));
    println!("{} of {} cases failed", failed, chosen.len());
    Ok(failed == 0)
}
