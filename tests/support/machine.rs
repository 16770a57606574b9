//! A machine as the guides have several: with a home of its own, and a shell that keeps its variables from block to block.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::process::Running;
use super::{Place, Ran};

pub(crate) struct Machine {
    home: PathBuf,
    /// Where its commands run.
    folder: PathBuf,
}

impl Machine {
    /// A machine whose commands run in its home.
    pub(crate) fn new(place: &Place, name: &str) -> Self {
        let home = place.path(name);
        fs::create_dir_all(home.join("bin")).expect("made");
        symlink(env!("CARGO_BIN_EXE_windtunnel"), home.join("bin/windtunnel")).expect("made");
        Self { folder: home.clone(), home }
    }

    /// The same machine, with its commands run in this folder.
    pub(crate) fn within(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    /// The data directory where no other is given.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join(".local/share/windtunnel")
    }

    /// Sets variables in its shell.
    pub(crate) fn export(&self, variables: &[(String, String)]) {
        for (name, value) in variables {
            self.run(&format!("export {name}='{value}'"));
        }
    }

    fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.env_clear().env("HOME", &self.home).env("PATH", format!("{}:{path}", self.home.join("bin").display()));
        let environment = self.home.join("environment");
        let script = format!("if [ -f \"$0\" ]; then . \"$0\"; fi\n{script}\n");
        shell.args(["-euo", "pipefail", "-c", &script]).arg(environment);
        shell.current_dir(&self.folder).stdin(Stdio::null());
        shell
    }

    /// Runs commands to their end, which has to be a good one. Variables and the umask stay.
    #[track_caller]
    pub(crate) fn run(&self, commands: &str) -> Ran {
        let script = format!("{commands}\nexport -p > \"$0\"\numask -p >> \"$0\"");
        let ran = Ran::of(self.shell(&script).output().expect("there is bash"));
        assert_eq!(ran.code, Some(0), "{commands}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// Starts a command that runs until it is ended, with what it says going to a file.
    pub(crate) fn start(&self, command: &str, log: &str) -> Running {
        let log = fs::File::create(self.home.join(log)).expect("made");
        Running::start_to(&mut self.shell(&format!("exec {command}")), log)
    }

    /// What a command that was started has said.
    pub(crate) fn said(&self, log: &str) -> String {
        fs::read_to_string(self.home.join(log)).unwrap_or_default()
    }
}
