//! `windtunnel store`

use std::path::PathBuf;

use coordinator::store::{CopiedRows, CopyStoreError, Place};
use coordinator::{CopyError, Side, copy_store};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::logging::say;
use crate::views::output::{self, View};

/// Rows of a table between two lines that say how far the copy is.
const BETWEEN_LINES: u64 = 100_000;

/// Move what a coordinator remembers to another store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel store copy ~/.local/share/windtunnel \\
    postgres://windtunnel@db-1/windtunnel")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Copy a whole store: from a data directory into a PostgreSQL database, or back
    ///
    /// The target must be empty, and no coordinator may run on either. Everything is read back before it is kept: the log by its
    /// hashes, the tables row by row; a copy that is interrupted leaves nothing. Datasets and checkpoints stay where they are.
    /// The source stays as it is: start the next coordinator with `--store`, and keep the source until you trust the copy
    #[command(after_help = "\
Example:
  windtunnel store copy ~/.local/share/windtunnel \\
    postgres://windtunnel@db-1/windtunnel
  windtunnel serve --store postgres://windtunnel@db-1/windtunnel")]
    Copy {
        /// What is copied: a data directory, or the address of a database without a password
        #[arg(value_name = "FROM")]
        from: String,
        /// Where it is copied to: a new data directory, or the address of an empty database without a password
        #[arg(value_name = "TO")]
        to: String,
    },
}

#[derive(Serialize)]
struct Copied {
    log_rows: u64,
    rows: u64,
    to: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let Command::Copy { from, to } = self.command;
        let (source, target) = (side(&from)?, side(&to)?);
        let mut progress = |table: &'static str, rows: u64| {
            if rows.is_multiple_of(BETWEEN_LINES) {
                say(&format!("{rows} rows of {table}"));
            }
        };
        let copied = crate::local::runtime()?.block_on(copy_store(&source, &target, &mut progress));
        let CopiedRows { log, rows } = copied.map_err(|error| match &error {
            CopyError::NoStore { .. }
            | CopyError::Lock(_)
            | CopyError::Led { .. }
            | CopyError::Copy(CopyStoreError::NotEmpty { .. }) => bad_input(error.into()),
            _ => error.into(),
        })?;
        output::print(&Copied { log_rows: log, rows, to }, global.json)?;
        Ok(Exit::Done)
    }
}

fn side(text: &str) -> anyhow::Result<Side> {
    // Another kind of address is refused, and not repeated as the path of a folder: it may hold a password.
    if !Place::is_postgres(text) && !text.contains("://") {
        return Ok(Side::Dir(PathBuf::from(text)));
    }
    match Place::parse(text).or_bad_input()?.with_password().or_bad_input()? {
        Place::Postgres(address) => Ok(Side::Database(address)),
        Place::File => Ok(Side::Dir(PathBuf::from(text))),
    }
}

impl View for Copied {
    fn table(&self) -> String {
        let Self { log_rows, rows, to } = self;
        format!("copied {rows} rows, {log_rows} of them of the log, to {to}; all were read back and compared\n")
    }
}
