//! `cargo xtask experiments`: the MiniCPM paper's experiments, scaled to two CPU cores.
//!
//! Each experiment runs its recipes through the command line, prints a few lines of results and draws charts into
//! `docs/experiments/`. Stages that exist in the data directory are not trained again.

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

/// Folder of the charts.
const DRAWINGS: &str = "docs/experiments";

/// Options of the experiments.
#[derive(Debug, Clone, Default)]
pub struct ExperimentsOptions {
    /// Run only these; empty means all.
    pub only: Vec<String>,
    /// Folder for data, checkpoints and results; `None` puts it into the target directory.
    pub folder: Option<PathBuf>,
    /// The program to run; `None` builds it.
    pub program: Option<PathBuf>,
}

/// Results of an experiment.
#[derive(Debug, Default)]
struct Findings {
    /// Text for the terminal and for `docs/experiments.md`.
    text: String,
    /// Charts with their file names, without the extension.
    charts: Vec<(String, chart::Chart)>,
}

/// Runs the experiments one after the other.
///
/// # Errors
/// Fails if the program does not build, a command fails, or its results cannot be read.
pub fn run(options: &ExperimentsOptions) -> Result<bool> {
    let folder = options.folder.clone().unwrap_or_else(|| check::target().join("experiments"));
    let program = Program::new(options.program.clone(), folder)?;
    let drawings = check::root().join(DRAWINGS);
    fs::create_dir_all(&drawings).context("cannot create the folder of the charts")?;
    for experiment in list::ALL {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == experiment.name) {
            continue;
        }
        println!("\n=== {}: {}", experiment.name, experiment.question);
        let findings = (experiment.run)(&program).with_context(|| format!("experiment {}", experiment.name))?;
        ensure!(!findings.text.is_empty(), "experiment {} has no results", experiment.name);
        println!("{}", findings.text);
        for (name, chart) in &findings.charts {
            let path = drawings.join(format!("{name}.svg"));
            fs::write(&path, chart.svg()?).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{DRAWINGS}/{name}.svg");
        }
    }
    Ok(true)
}
