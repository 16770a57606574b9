//! The program, run from the command line.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::points::Point;
use crate::check;

/// The program and its working folder.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// The program that was given, or else one that is built optimised, because training dominates.
    pub(super) fn new(given: Option<PathBuf>, folder: PathBuf) -> Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(&path).with_context(|| format!("cannot use {}", path.display()))?,
            None => {
                let build = check::cargo().args(["build", "--release", "--bin", "windtunnel"]).status();
                ensure!(build.context("cannot start cargo")?.success(), "the program does not build");
                check::target().join("release/windtunnel")
            }
        };
        fs::create_dir_all(&folder).context("cannot create the folder of the experiments")?;
        Ok(Self { path, folder })
    }

    /// Folder of a campaign's results.
    pub(super) fn out(&self, campaign: &str) -> PathBuf {
        self.folder.join("out").join(campaign)
    }

    /// Trains a recipe, with progress in the terminal, and reads its points.
    pub(super) fn train(&self, recipe: &str, campaign: &str) -> Result<Vec<Point>> {
        let out = self.out(campaign);
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        self.say(["run".as_ref(), recipe.as_ref(), "--out".as_ref(), out.as_os_str()])?;
        self.points(campaign)
    }

    /// Reads the points from a campaign's results.
    pub(super) fn points(&self, campaign: &str) -> Result<Vec<Point>> {
        super::points::read(&self.out(campaign).join("points.csv"))
    }

    /// A campaign's fitted law, as `fit.json` holds it.
    pub(super) fn fit(&self, campaign: &str) -> Result<Value> {
        let path = self.out(campaign).join("fit.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
    }

    /// Runs a command whose output is for people.
    pub(super) fn say<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<()> {
        let status = self.command(arguments).status().context("cannot start the program")?;
        ensure!(status.success(), "exited with {status}");
        Ok(())
    }

    /// Runs a command and parses its output as JSON.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        let output = self.command(arguments).arg("--json").stderr(Stdio::inherit()).output();
        let output = output.context("cannot start the program")?;
        ensure!(output.status.success(), "exited with {}", output.status);
        serde_json::from_slice(&output.stdout).context("the output is not JSON")
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(check::root()).env("WINDTUNNEL_DATA_DIR", self.folder.join("data")).args(arguments);
        command
    }
}
