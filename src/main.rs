//! The command line of Windtunnel.
//!
//! One file a command, under `commands`; what several of them need lies beside it. Nothing here decides anything about
//! training: commands read what a person asks for, call the crates that know, and print what they say. Data goes to the
//! standard output, everything else to the standard error. Start with [`cli`], then `commands/run.rs`.

mod cli;
mod commands;
mod data_dir;
mod exit;
mod logging;
mod output;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = logging::start(&cli.global, cli.command.default_log()).and_then(|()| cli.command.run(&cli.global));
    exit::conclude(outcome)
}
