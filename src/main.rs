//! The command line of Windtunnel.
//!
//! One file a command, under `commands`; what several of them need lies beside it. Nothing here decides anything about
//! training: commands read what a person asks for, call the crates that know, and print what they say. Data goes to the
//! standard output, everything else to the standard error. Start with [`cli`], then `commands/run.rs`.

mod checkpoint;
mod cli;
mod client;
mod commands;
mod data_dir;
mod exit;
mod fitting;
mod logging;
mod output;
mod pool;
mod preparing;
mod quantities;
mod results;
mod signals;
mod submitting;
mod training;
mod uploading;
mod views;
mod watching;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = logging::start(&cli.global, cli.command.default_log()).and_then(|()| cli.command.run(&cli.global));
    exit::conclude(outcome)
}

/// What commands that talk to others run on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start")
}
