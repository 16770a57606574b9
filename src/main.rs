//! The command line of Windtunnel.
//!
//! One file a command, under [`commands`]: it reads what a person asks for, calls the crates that know, and prints what they
//! say. [`args`] has the options that several commands share, [`views`] what is printed, and [`local`] what commands need of
//! this machine. Nothing here decides anything about training. Data goes to the standard output, everything else to the
//! standard error. Start with [`cli`], then `commands/run.rs`.

mod args;
mod cli;
mod commands;
mod exit;
mod local;
mod logging;
mod views;

use std::process::ExitCode;

use clap::Parser;

use crate::exit::OrBadInput;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let logging = logging::start(cli.global.log.as_deref(), cli.command.default_log()).or_bad_input();
    let outcome = logging.and_then(|()| cli.command.run(&cli.global));
    exit::conclude(outcome)
}
