//! The command line of `cargo xtask`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::check::{self, CheckOptions};
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
