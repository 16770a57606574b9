//! The command line of Windtunnel.
//!
//! One file per command under [`commands`]: it parses arguments, calls the other crates and prints the result. [`args`] has
//! options shared by several commands, [`views`] the printed text and JSON, and [`local`] what commands need from this machine.
//! Nothing here makes decisions about training. Data goes to standard output, everything else to standard error. Start with
//! [`cli`], then `commands/run.rs`.

mod args;
mod cli;
mod commands;
mod exit;
mod local;
mod logging;
mod views;

use std::process::ExitCode;

use crate::exit::OrBadInput;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::of_process();
    let logging = logging::start(cli.global.log.as_deref(), cli.command.default_log()).or_bad_input();
    let outcome = logging.and_then(|()| cli.command.run(&cli.global));
    exit::conclude(outcome)
}
