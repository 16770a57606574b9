//! The command line of `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use xtask::cases;
use xtask::chaos::{self, ChaosOptions};
use xtask::check::{self, CheckOptions};
use xtask::experiments::{self, ExperimentsOptions};
use xtask::fuzz::{self, FuzzOptions};
use xtask::parts::Part;
use xtask::prose;

/// Tasks that a developer runs more than once.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything a change must pass: format, lints, docs, tests, the GPU features, licences.
    ///
    /// Without PART all of them run, in this order, and the first failure ends the check. Each prints its command, so
    /// that you can repeat it by hand. Example: `cargo xtask check clippy test`.
    Check {
        /// Run only these parts.
        #[arg(value_enum)]
        part: Vec<Part>,
        /// Skip these parts.
        #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
        skip: Vec<Part>,
        /// Continue after a failure.
        #[arg(long)]
        keep_going: bool,
    },
    /// Fix what tools can fix: format the code, and apply the lints' own suggestions.
    Fix,
    /// List phrases to rewrite in comments, messages and pages, with a suggestion for each. The tests run the same check.
    Prose {
        /// Look only below this folder or file, relative to the root.
        path: Option<String>,
    },
    /// Train a campaign while its processes are killed, stopped and told to quit, and compare it with an undisturbed
    /// one.
    ///
    /// Prints the faults by kind, how quickly work resumed, and what was lost. Example: `cargo xtask chaos --kills 20`.
    Chaos {
        /// Minimum number of process exits; other faults come on top.
        #[arg(long, value_name = "N", default_value_t = 50)]
        kills: u32,
        /// Seed of the faults and their times [default: the time]
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Number of worker processes.
        #[arg(long, value_name = "N", default_value_t = 3)]
        workers: u16,
        /// Keep the folder with all logs even if the run passed.
        #[arg(long)]
        keep: bool,
    },
    /// Run every reader of outside input under a fuzzer, one minute each. Needs cargo-fuzz.
    ///
    /// Prints executions, edges covered and faults. Example: `cargo xtask fuzz spool`.
    Fuzz {
        /// Run only these targets.
        #[arg(value_parser = PossibleValuesParser::new(fuzz::TARGETS))]
        target: Vec<String>,
        /// Seconds per target.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
    },
    /// Repeat the MiniCPM paper's experiments, scaled to two CPU cores: print results and draw charts into
    /// `docs/experiments/`. Existing stages are not trained again. Example: `cargo xtask experiments schedules`.
    Experiments {
        /// Run only these experiments.
        #[arg(value_parser = PossibleValuesParser::new(experiments::NAMES))]
        experiment: Vec<String>,
        /// Folder for data, checkpoints and results [default: a folder of the target directory]
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Program to run [default: built here, optimised]
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Run the program on a folder of inputs from the field, and compare with what is right, which the sources of xtask keep
    /// by the names of the cases. Without the folder nothing is run. Example: `cargo xtask cases FOLDER --only 22`.
    Cases {
        /// Folder with a folder for each case.
        folder: PathBuf,
        /// Run only cases whose name begins so.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
    },
    /// Measure the trainer on this machine with `windtunnel bench train` and the arguments given. Close other programs
    /// first. Example: `cargo xtask bench --no-peer --shape A`.
    Bench {
        /// Arguments of `windtunnel bench train`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    let passed = match Cli::parse().command {
        Command::Check { part, skip, keep_going } => check::run(&CheckOptions { only: part, skip, keep_going })?,
        Command::Fix => {
            cargo(&["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"])?
                && cargo(&["fmt", "--all"])?
        }
        Command::Prose { path } => {
            let hits = prose::scan(check::root(), path.as_deref())?;
            for hit in &hits {
                println!("{hit}");
            }
            hits.is_empty()
        }
        Command::Chaos { kills, seed, workers, keep } => {
            let seed = seed.unwrap_or_else(|| {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_1970| since_1970.as_secs())
            });
            chaos::run(ChaosOptions { kills, seed, workers: usize::from(workers.max(1)), keep })?
        }
        Command::Fuzz { target, seconds } => {
            fuzz::run(&FuzzOptions { time: Duration::from_secs(seconds), targets: target })?
        }
        Command::Experiments { experiment, folder, program } => {
            experiments::run(&ExperimentsOptions { only: experiment, folder, program })?
        }
        Command::Cases { folder, only } => cases::run(&folder, &only)?,
        Command::Bench { arguments } => {
            let command = ["run", "--release", "--bin", "windtunnel", "--", "bench", "train"];
            cargo(&command.into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>())?
        }
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs cargo on the workspace, and returns whether it succeeded.
fn cargo(arguments: &[&str]) -> Result<bool> {
    let status = check::cargo().args(arguments).status().context("cannot start cargo")?;
    Ok(status.success())
}
