//! Runs the parts of the check, and reports which passed and how long each took.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::parts::{PYTHON_FOLDER, PYTHON_MAKER, PYTHON_VARIABLE, Part};

/// Which parts to run.
#[derive(Debug, Default)]
pub struct CheckOptions {
    /// Run only these; empty means all.
    pub only: Vec<Part>,
    /// Overrides `only`.
    pub skip: Vec<Part>,
    /// Continue after a failure.
    pub keep_going: bool,
}

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The cargo subcommand it needs is not installed.
    NoTool(&'static str),
    /// An earlier part failed.
    NotRun,
}

/// Runs the parts and returns whether all passed. A part whose tool is missing does not count as a failure.
///
/// # Errors
/// Fails if a command cannot be started.
pub fn run(options: &CheckOptions) -> Result<bool> {
    let chosen = |part: &Part| (options.only.is_empty() || options.only.contains(part)) && !options.skip.contains(part);
    let parts: Vec<Part> = Part::ALL.into_iter().filter(chosen).collect();
    let mut summary = Vec::new();
    let mut failed = false;
    for (index, &part) in parts.iter().enumerate() {
        if failed && !options.keep_going {
            summary.push((part, Outcome::NotRun, Took::default()));
            continue;
        }
        eprintln!("\n[{}/{}] {}: {}", index + 1, parts.len(), part.name(), part.command_line());
        let (before, cpu_before) = (Instant::now(), cpu_of_children());
        let outcome = run_part(part)?;
        failed |= outcome == Outcome::Failed;
        let cpu = cpu_of_children().zip(cpu_before).map(|(now, before)| now.saturating_sub(before));
        let took = Took { wall: before.elapsed(), cpu };
        eprintln!("[{}/{}] {}: {}", index + 1, parts.len(), part.name(), line(outcome, took));
        summary.push((part, outcome, took));
    }
    eprintln!();
    for (part, outcome, took) in summary {
        eprintln!("{:10} {}", part.name(), line(outcome, took));
    }
    Ok(!failed)
}

fn run_part(part: Part) -> Result<Outcome> {
    if let Some(tool) = part.optional_tool()
        && !is_installed(tool)?
    {
        return Ok(Outcome::NoTool(tool));
    }
    let mut command = cargo();
    command.args(part.arguments()).envs(part.environment().iter().copied());
    if part.needs_pytorch() {
        let Some(python) = python_with_pytorch()? else { return Ok(Outcome::Failed) };
        command.env(PYTHON_VARIABLE, python);
    }
    let status = command.status().with_context(|| format!("cannot start `{}`", part.command_line()))?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed })
}

/// Wall and CPU time of a part. CPU time is comparable between busy and quiet machines.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    wall: Duration,
    /// `None` if the system does not report it.
    cpu: Option<Duration>,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s", self.wall.as_secs_f64())?;
        self.cpu.map_or(Ok(()), |cpu| write!(f, " ({:.0} s of CPU)", cpu.as_secs_f64()))
    }
}

/// CPU time of all children that have ended, and of theirs: fields 16 and 17 of `/proc/self/stat`, in hundredths of a
/// second on every Linux.
fn cpu_of_children() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

fn line(outcome: Outcome, took: Took) -> String {
    match outcome {
        Outcome::Passed => format!("passed in {took}"),
        Outcome::Failed => format!("FAILED after {took}"),
        Outcome::NoTool(tool) => format!("skipped: cargo-{tool} is not installed"),
        Outcome::NotRun => "not run".to_owned(),
    }
}

/// Path of a Python interpreter with PyTorch, installed on first use. `None` if that fails; the reason is on standard
/// error.
fn python_with_pytorch() -> Result<Option<PathBuf>> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let output = Command::new("python3")
        .arg(PYTHON_MAKER)
        .arg(target.join(PYTHON_FOLDER))
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `python3`: the tests against PyTorch need Python 3.10 or newer")?;
    let printed = String::from_utf8(output.stdout).context("the path of Python is not UTF-8")?;
    Ok(printed.lines().last().filter(|_| output.status.success()).map(PathBuf::from))
}

/// Whether `cargo TOOL` exists.
fn is_installed(tool: &str) -> Result<bool> {
    let status = cargo()
        .args([tool, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    Ok(status.success())
}

/// Cargo, in the workspace's root.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // Removes settings that `cargo run` made for this program and that a cargo started by hand would not have. They
    // would make build scripts that watch their environment run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME" {
            command.env_remove(name);
        }
    }
    command
}

/// Builds the program, and returns where it is.
///
/// # Errors
/// Fails if it does not build.
pub fn program() -> Result<PathBuf> {
    // A test of the program needs the program, built with the features that `cargo test` builds it with: after the tests
    // nothing is compiled again.
    let build = cargo().args(["test", "--quiet", "--workspace", "--no-run", "--test", "quickstart"]).status();
    ensure!(build.context("cannot start cargo")?.success(), "the program does not build");
    Ok(target().join("debug/windtunnel"))
}

/// The workspace's root.
#[must_use]
pub fn root() -> &'static Path {
    // tests/xtask is two folders below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
