//! `windtunnel completions`

use clap_complete::Shell;

use crate::exit::Exit;
use crate::views::output;

/// Print a shell completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel completions bash \\
    > ~/.local/share/bash-completion/completions/windtunnel")]
pub(crate) struct Args {
    /// Shell to complete in
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, mut program: clap::Command) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "windtunnel", &mut script);
        output::write(&String::from_utf8(script)?)?;
        Ok(Exit::Done)
    }
}
