//! `windtunnel completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// Print a script that completes commands and options in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel completions bash > ~/.local/share/bash-completion/completions/windtunnel")]
pub(crate) struct Args {
    /// The shell to write it for
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "windtunnel", &mut script);
        output::write(&String::from_utf8(script)?)?;
        Ok(Exit::Done)
    }
}
