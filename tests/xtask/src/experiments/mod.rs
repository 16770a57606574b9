//! `cargo xtask experiments`: the MiniCPM paper's experiments at the scale of two CPU cores.
//!
//! Each runs its recipes as anyone would, from the command line, then says in a few lines what came out and draws it into
//! `docs/experiments/`. What has been trained before, in the same data directory, is not trained again.

mod chart;
mod list;
mod points;
mod program;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

pub use list::NAMES;

use crate::check;
use program::Program;

/// Where the drawings go.
const DRAWINGS: &str = "docs/experiments";

/// How to run them.
#[derive(Debug, Clone, Default)]
pub struct ExperimentsOptions {
    /// Only these; all of them where there are none.
    pub only: Vec<String>,
    /// Where data, checkpoints and results are kept: a folder of the target directory where there is none.
    pub folder: Option<PathBuf>,
}

/// What an experiment came to.
#[derive(Debug, Default)]
struct Findings {
    /// For the terminal and for `docs/experiments.md`.
    text: String,
    /// By the names of their files, without the ending.
    charts: Vec<(String, chart::Chart)>,
}

/// Runs them one after the other.
///
/// # Errors
/// Where the program does not build, a command fails, or its results cannot be read.
pub fn run(options: &ExperimentsOptions) -> Result<bool> {
    let folder = options.folder.clone().unwrap_or_else(|| check::target().join("experiments"));
    let program = Program::build(folder)?;
    let drawings = check::root().join(DRAWINGS);
    fs::create_dir_all(&drawings).context("cannot make the folder of the drawings")?;
    for experiment in list::ALL {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == experiment.name) {
            continue;
        }
        println!("\n=== {}: {}", experiment.name, experiment.question);
        let findings = (experiment.run)(&program).with_context(|| format!("experiment {}", experiment.name))?;
        ensure!(!findings.text.is_empty(), "experiment {} found nothing to say", experiment.name);
        println!("{}", findings.text);
        for (name, chart) in &findings.charts {
            let path = drawings.join(format!("{name}.svg"));
            fs::write(&path, chart.svg()?).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{DRAWINGS}/{name}.svg");
        }
    }
    Ok(true)
}
