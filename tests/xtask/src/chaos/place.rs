//! The folder of a run: the recipe, a data directory for each of the two campaigns, and their results.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::check;

/// The campaign's name in the recipe.
pub(super) const CAMPAIGN: &str = "chaos";

/// What both runs train, apart from the seeds.
const RECIPE: &str = include_str!("campaign.toml");
/// The recipe's line with the seeds, and their number.
const SEEDS: &str = "seeds = [0, 1, 2]";
const FIRST_SEEDS: u32 = 3;
const CALM: &str = "calm";
const STORMY: &str = "stormy";

/// A campaign's results, as printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Results {
    /// The points the law is fitted to, as CSV.
    pub(super) points: String,
    /// All curves, as CSV.
    pub(super) curves: String,
}

/// A run's folder and the program under test.
#[derive(Debug)]
pub(super) struct Place {
    dir: TempDir,
    program: PathBuf,
    /// The disturbed coordinator's port. It is fixed, so that workers find a restarted one.
    port: u16,
    /// Number of seeds that both campaigns train.
    seeds: Cell<u32>,
}

impl Place {
    /// Builds the program and prepares the folder.
    pub(super) fn new() -> Result<Self> {
        let program = check::program()?;
        let dir = tempfile::Builder::new().prefix("windtunnel-chaos-").tempdir().context("cannot create a folder")?;
        // The port was free a moment ago, and nobody else on this machine should take it.
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = port.context("no port is free")?.port();
        let place = Self { dir, program, port, seeds: Cell::new(FIRST_SEEDS) };
        place.write_recipe()?;
        Ok(place)
    }

    fn recipe(&self) -> PathBuf {
        self.dir().join("campaign.toml")
    }

    fn write_recipe(&self) -> Result<()> {
        let seeds: Vec<String> = (0..self.seeds.get()).map(|seed| seed.to_string()).collect();
        ensure!(RECIPE.contains(SEEDS), "the recipe has no line `{SEEDS}`");
        let recipe = RECIPE.replacen(SEEDS, &format!("seeds = [{}]", seeds.join(", ")), 1);
        fs::write(self.recipe(), recipe).context("cannot write the recipe")
    }

    /// Adds a seed to the campaign, so that there is more to disturb.
    pub(super) fn enlarge(&self) -> Result<()> {
        self.seeds.set(self.seeds.get() + 1);
        self.write_recipe()?;
        self.submit()
    }

    /// Whether the campaign was enlarged after it was first trained undisturbed.
    pub(super) fn is_enlarged(&self) -> bool {
        self.seeds.get() > FIRST_SEEDS
    }

    /// The disturbed coordinator's address.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program on the disturbed campaign's data directory, without any environment variables that would change its
    /// behaviour.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_on(STORMY, arguments);
        // Without this a command would start its own coordinator while the real one is away.
        let socket = self.dir().join(STORMY).join("coordinator.sock");
        command.env("WINDTUNNEL_COORDINATOR", format!("unix:{}", socket.display()));
        command
    }

    fn command_on(&self, data: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(check::root()).stdin(Stdio::null());
        for name in ["WINDTUNNEL_COORDINATOR", "WINDTUNNEL_TOKEN", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("WINDTUNNEL_DATA_DIR", self.dir().join(data));
        command
    }

    /// Trains the campaign undisturbed. Copies its prepared text to the other data directory.
    pub(super) fn undisturbed(&self) -> Result<(Results, Duration)> {
        printed(self.command_on(CALM, &["data", "prepare"]).arg(self.recipe()))?;
        printed(self.command(&["data", "prepare"]).arg(self.recipe()))?;
        let out = self.dir().join(CALM).join("out");
        let before = Instant::now();
        let mut run = self.command_on(CALM, &["run", "--workers", "2", "--out"]);
        printed(run.arg(&out).arg(self.recipe()))?;
        let took = before.elapsed();
        let curves = printed(&mut self.command_on(CALM, &["curves", CAMPAIGN]))?;
        Ok((Results { points: read_points(&out)?, curves }, took))
    }

    /// Submits the campaign to the running coordinator.
    pub(super) fn submit(&self) -> Result<()> {
        printed(self.command(&["submit"]).arg(self.recipe())).map(drop)
    }

    /// The disturbed campaign's results, from its coordinator.
    pub(super) fn results(&self) -> Result<Results> {
        let out = self.dir().join(STORMY).join("out");
        printed(self.command(&["report", CAMPAIGN, "--out"]).arg(&out))?;
        let curves = printed(&mut self.command(&["curves", CAMPAIGN]))?;
        Ok(Results { points: read_points(&out)?, curves })
    }

    /// Number of completed stages of the disturbed campaign, and whether it has ended; `None` if the coordinator does
    /// not answer. An enlarged one is another campaign, with the stages of the one before it and more: the last in the
    /// list.
    pub(super) fn standing(&self) -> Option<(u64, bool)> {
        let list = printed(&mut self.command(&["list", "--json"])).ok()?;
        let list: serde_json::Value = serde_json::from_str(&list).ok()?;
        let campaign = list["campaigns"].as_array()?.last()?;
        Some((campaign["stages"]["completed"].as_u64()?, campaign["phase"].as_str()? == "ended"))
    }

    pub(super) fn remove(self) -> std::io::Result<()> {
        self.dir.close()
    }

    pub(super) fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

fn read_points(out: &Path) -> Result<String> {
    let path = out.join("points.csv");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Runs a command and returns its output; the error has all of it.
fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    String::from_utf8(output.stdout).context("the output is not UTF-8")
}
