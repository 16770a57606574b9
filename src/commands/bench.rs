//! `windtunnel bench`

use std::path::PathBuf;
use std::process::Command as Process;

use anyhow::Context;
use bench::{Case, Mode, Options};
use clap::{Subcommand, ValueEnum};

use crate::args::Global;
use crate::args::numbers::within;
use crate::exit::{Exit, OrBadInput};
use crate::local::signals::stopped_by_signals;
use crate::logging::say;
use crate::views::BenchView;
use crate::views::output;

/// Benchmark the trainer on this machine against PyTorch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel bench train --python .venv/bin/python")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Train),
    /// Run one measurement described on standard input (used by the parent process)
    #[command(hide = true, after_help = "Example:\n  windtunnel bench train")]
    Measure,
}

/// Benchmark training speed and memory against PyTorch
///
/// Measures in separate processes that take turns. Ratios are taken within a round; the table shows their median and
/// spread. Without a Python that has PyTorch, measures only this program.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel bench train --python .venv/bin/python
  windtunnel bench train --shape A,C --no-peer --rounds 1")]
struct Train {
    /// Models to measure [default: all]
    ///
    /// A (9M), B and C by size; the others are those of the quick start
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    shape: Vec<String>,

    /// Thread counts
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,

    /// Samples per measurement
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// Duration of a sample, at least three steps
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0, value_parser = sample_seconds)]
    seconds: f64,

    /// Python with PyTorch
    #[arg(long, value_name = "PATH", env = "WINDTUNNEL_PYTHON", default_value = "python3")]
    python: PathBuf,

    /// PyTorch training modes
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    #[arg(default_value = "eager,compile,bf16,bf16-compile")]
    modes: Vec<ModeName>,

    /// Measure only this program
    #[arg(long)]
    no_peer: bool,

    /// Also measure models up to 30M parameters and contexts up to 4096 tokens
    #[arg(long)]
    grow: bool,

    /// One short round, as a smoke test
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    Eager,
    Compile,
    Bf16,
    Bf16Compile,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Eager => Self::Eager,
            ModeName::Compile => Self::Compile,
            ModeName::Bf16 => Self::Bf16,
            ModeName::Bf16Compile => Self::Bf16Compile,
        }
    }
}

fn sample_seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=3600.0, "0 to 3600")
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self.command {
            Command::Train(train) => train.run(global),
            Command::Measure => {
                bench::measure(&mut std::io::stdin().lock(), &mut std::io::stdout().lock())?;
                Ok(Exit::Done)
            }
        }
    }
}

impl Train {
    fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let cases = match self.shape.as_slice() {
            [] => Case::all(),
            names => names.iter().map(|name| Case::find(name)).collect::<Result<_, _>>().or_bad_input()?,
        };
        let program = std::env::current_exe().context("cannot find this program's executable")?;
        let measuring = || {
            let mut process = Process::new(&program);
            process.args(["bench", "measure"]);
            process
        };
        let options = Options {
            cases,
            threads: self.threads.iter().copied().map(usize::from).collect(),
            rounds: if self.quick { 1 } else { self.rounds.into() },
            sample_seconds: if self.quick { 0.0 } else { self.seconds },
            python: (!self.no_peer).then_some(self.python),
            modes: self.modes.iter().copied().map(Mode::from).collect(),
            grow: self.grow,
            measuring: &measuring,
            interrupter: stopped_by_signals()?,
        };
        match bench::train(&options, &mut say) {
            Ok(report) => {
                output::print(&BenchView(report), global.json)?;
                Ok(Exit::Done)
            }
            Err(bench::BenchError::Interrupted) => Ok(Exit::Interrupted),
            Err(error) => Err(error.into()),
        }
    }
}
