//! The command line of `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use xtask::chaos::{self, ChaosOptions};
use xtask::check::{self, CheckOptions};
use xtask::experiments::{self, ExperimentsOptions};
use xtask::fuzz::{self, FuzzOptions};
use xtask::parts::Part;

/// Everything a developer runs twice.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run what must pass before a change lands: format, lints, docs, tests, the GPU features, licences.
    ///
    /// Without PART all of them run, in this order, and the first that fails ends the check. Each prints its command,
    /// so that it can be repeated by hand. Example: `cargo xtask check clippy test`.
    Check {
        /// Run only these.
        #[arg(value_enum)]
        part: Vec<Part>,
        /// Leave these out.
        #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
        skip: Vec<Part>,
        /// Run the rest after a failure too.
        #[arg(long)]
        keep_going: bool,
    },
    /// Mend what tools can mend: format the code, and apply the lints' own suggestions.
    Fix,
    /// Train a campaign while its processes are killed, stopped and told to go, and compare with the same one left alone.
    ///
    /// Prints the faults by kind, how fast the work went on, and what was lost. Example: `cargo xtask chaos --kills 20`.
    Chaos {
        /// Ends of processes, at least; other faults come on top.
        #[arg(long, value_name = "N", default_value_t = 50)]
        kills: u32,
        /// What faults and moments are drawn from [default: the time]
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Worker processes.
        #[arg(long, value_name = "N", default_value_t = 3)]
        workers: u16,
        /// Keep the folder with all logs even where it passed.
        #[arg(long)]
        keep: bool,
    },
    /// Give everything that is read from elsewhere to a fuzzer, a minute a target. Needs cargo-fuzz.
    ///
    /// Prints executions, the edges of the program that were reached, and faults. Example: `cargo xtask fuzz spool`.
    Fuzz {
        /// Run only these.
        #[arg(value_parser = PossibleValuesParser::new(fuzz::TARGETS))]
        target: Vec<String>,
        /// How long each runs.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
    },
    /// Train the MiniCPM paper's experiments at the scale of two CPU cores, say what came out, and draw it into
    /// `docs/experiments/`. What was trained before is not trained again. Example: `cargo xtask experiments schedules`.
    Experiments {
        /// Run only these.
        #[arg(value_parser = PossibleValuesParser::new(experiments::NAMES))]
        experiment: Vec<String>,
        /// Where data, checkpoints and results are kept [default: a folder of the target directory]
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Measure the trainer on this machine, by `windtunnel bench train` and the arguments after it. Close other programs
    /// first. Example: `cargo xtask bench --no-peer --shape A`.
    Bench {
        /// As for `windtunnel bench train`.
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
        Command::Chaos { kills, seed, workers, keep } => {
            let seed = seed.unwrap_or_else(|| {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_1970| since_1970.as_secs())
            });
            chaos::run(ChaosOptions { kills, seed, workers: usize::from(workers.max(1)), keep })?
        }
        Command::Fuzz { target, seconds } => {
            fuzz::run(&FuzzOptions { time: Duration::from_secs(seconds), targets: target })?
        }
        Command::Experiments { experiment, folder } => {
            experiments::run(&ExperimentsOptions { only: experiment, folder })?
        }
        Command::Bench { arguments } => {
            let command = ["run", "--release", "--bin", "windtunnel", "--", "bench", "train"];
            cargo(&command.into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>())?
        }
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs cargo on the workspace; whether it succeeded.
fn cargo(arguments: &[&str]) -> Result<bool> {
    let status = check::cargo().args(arguments).status().context("cannot start cargo")?;
    Ok(status.success())
}
