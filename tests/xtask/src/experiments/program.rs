//! The program, run as anyone would run it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::points::Point;
use crate::check;

/// The program, and the folder that it works in.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Builds it, optimised: training is what takes the time.
    pub(super) fn build(folder: PathBuf) -> Result<Self> {
        let build = check::cargo().args(["build", "--release", "--bin", "windtunnel"]).status();
        ensure!(build.context("cannot start cargo")?.success(), "the program does not build");
        fs::create_dir_all(&folder).context("cannot make the folder of the experiments")?;
        Ok(Self { path: check::target().join("release/windtunnel"), folder })
    }

    /// Where a campaign's results are.
    pub(super) fn out(&self, campaign: &str) -> PathBuf {
        self.folder.join("out").join(campaign)
    }

    /// Trains what a recipe asks for, with its progress in the terminal, and reads its points.
    pub(super) fn train(&self, recipe: &str, campaign: &str) -> Result<Vec<Point>> {
        let out = self.out(campaign);
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        self.say(["run".as_ref(), recipe.as_ref(), "--out".as_ref(), out.as_os_str()])?;
        self.points(campaign)
    }

    /// The points that a campaign's results have.
    pub(super) fn points(&self, campaign: &str) -> Result<Vec<Point>> {
        super::points::read(&self.out(campaign).join("points.csv"))
    }

    /// A campaign's law.
    pub(super) fn fit(&self, campaign: &str) -> Result<Value> {
        let path = self.out(campaign).join("fit.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
    }

    /// Runs a command whose output is for people.
    pub(super) fn say<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<()> {
        let status = self.command(arguments).status().context("cannot start the program")?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Runs a command and reads what it prints as JSON.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        let output = self.command(arguments).arg("--json").stderr(Stdio::inherit()).output();
        let output = output.context("cannot start the program")?;
        ensure!(output.status.success(), "it ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("it printed no JSON")
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(check::root()).env("WINDTUNNEL_DATA_DIR", self.folder.join("data")).args(arguments);
        command
    }
}
