//! Running processes, watched and killed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Timeout of conditions that should always come true. Generous, since it only matters when a test fails.
const CONDITION_TIMEOUT: Duration = Duration::from_secs(240);

/// A process in its own process group. Dropping it kills the whole group.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts it with its outputs discarded.
    pub(crate) fn silent(command: &mut Command) -> Self {
        Self::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Starts it and keeps its standard output.
    pub(crate) fn piped(command: &mut Command) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut running = Self::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let output = running.child.stdout.take().expect("is piped");
        (running, BufReader::new(output).lines().map_while(Result::ok))
    }

    /// Starts it and keeps its standard error.
    pub(crate) fn start_with_stderr(command: &mut Command) -> Self {
        Self::start(command.stdout(Stdio::null()).stderr(Stdio::piped()))
    }

    /// Starts it with its standard error going to a file.
    pub(crate) fn start_to(command: &mut Command, log: fs::File) -> Self {
        Self::start(command.stdout(Stdio::null()).stderr(log))
    }

    /// Starts it with its standard output and its standard error going to files.
    pub(crate) fn start_between(command: &mut Command, output: fs::File, log: fs::File) -> Self {
        Self::start(command.stdout(output).stderr(log))
    }

    /// Starts it, keeps its standard output, and has its standard error going to a file.
    pub(crate) fn piped_to(command: &mut Command, log: fs::File) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut running = Self::start(command.stdout(Stdio::piped()).stderr(log));
        let output = running.child.stdout.take().expect("is piped");
        (running, BufReader::new(output).lines().map_while(Result::ok))
    }

    fn start(command: &mut Command) -> Self {
        Self { child: command.process_group(0).spawn().expect("the program starts") }
    }

    /// What it wrote to the standard error that was kept, once it has ended.
    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().expect("is kept").read_to_string(&mut text).expect("is UTF-8");
        text
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, &self.id().to_string());
    }

    /// Sends a signal to the whole group, as a terminal does at Ctrl-C.
    pub(crate) fn signal_group(&self, signal: &str) {
        send(signal, &format!("-{}", self.id()));
    }

    /// Kills the whole group at once.
    pub(crate) fn kill_group(mut self) {
        self.signal_group("KILL");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + CONDITION_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("can be asked").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            send("KILL", &format!("-{}", self.id()));
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process, or to a group by its negative number.
pub(crate) fn send(signal: &str, target: &str) {
    // The shell has `kill` everywhere. That the target has just ended is fine.
    let _ = Command::new("sh").args(["-c", &format!("kill -s {signal} -- {target}")]).stderr(Stdio::null()).status();
}

/// Waits until a condition holds, and looks often.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + CONDITION_TIMEOUT;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process with all of these among its arguments. Linux only.
pub(crate) fn process_with(arguments: &[&str]) -> Option<u32> {
    fs::read_dir("/proc").expect("this is Linux").flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        arguments.iter().all(|argument| words.contains(&argument.as_bytes())).then_some(id)
    })
}

/// Whether a process is there, and not only its entry in the table.
pub(crate) fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything.
    status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
