//! A measuring process, seen from its parent.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::task::{Ready, Request, Task};

/// A process with a task. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Probe {
    what: String,
    child: Child,
    /// Closed to signal that no more requests follow.
    stdin: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    errors: PathBuf,
}

/// A measuring process that failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The process did not start.
    #[error("cannot start {what}")]
    Start {
        /// Description of what it was to measure.
        what: String,
        #[source]
        source: io::Error,
    },
    /// The process exited early.
    #[error("{what} exited without an answer: {last_log_line}")]
    Ended {
        /// Description of what it was to measure.
        what: String,
        /// Last line of its standard error.
        last_log_line: String,
    },
    /// The process sent an unreadable answer.
    #[error("{what} sent an unreadable answer")]
    Answer {
        /// Description of what it was to measure.
        what: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Probe {
    /// Starts a process with a task, and waits until it is warm. `what` describes the measurement in messages;
    /// `scratch` is a directory for its standard error.
    pub(crate) fn warm(command: Command, task: &Task, what: String, scratch: &Path) -> Result<Self, ProbeError> {
        let mut probe = Self::start(command, task, what, scratch)?;
        let Ready { ready: true } = probe.receive()? else { return Err(probe.ended()) };
        Ok(probe)
    }

    /// Starts a process with a task that has one answer.
    pub(crate) fn answer<R: DeserializeOwned>(
        command: Command,
        task: &Task,
        what: String,
        scratch: &Path,
    ) -> Result<R, ProbeError> {
        Self::start(command, task, what, scratch)?.receive()
    }

    /// Requests a sample, which [`Probe::receive`] returns. Several processes can sample at the same time.
    pub(crate) fn ask(&mut self, request: Request) -> Result<(), ProbeError> {
        self.send(&request)
    }

    /// Waits for the next answer.
    pub(crate) fn receive<R: DeserializeOwned>(&mut self) -> Result<R, ProbeError> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => {
                serde_json::from_str(&line).map_err(|source| ProbeError::Answer { what: self.what.clone(), source })
            }
            Ok(0) | Err(_) => Err(self.ended()),
        }
    }

    fn start(mut command: Command, task: &Task, what: String, scratch: &Path) -> Result<Self, ProbeError> {
        let mut started = || {
            let errors = tempfile::Builder::new().prefix("stderr-").tempfile_in(scratch)?.into_temp_path().keep()?;
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
            Ok((command.spawn()?, errors))
        };
        let (mut child, errors) = started().map_err(|source| ProbeError::Start { what: what.clone(), source })?;
        let stdin = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut probe = Self { what, child, stdin, answers, errors };
        probe.send(task)?;
        Ok(probe)
    }

    fn send(&mut self, message: &impl Serialize) -> Result<(), ProbeError> {
        let line = serde_json::to_string(message).expect("tasks and requests have a JSON form");
        let sent = self.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}").and_then(|()| stdin.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    /// The error for a process that has exited.
    fn ended(&mut self) -> ProbeError {
        self.stdin = None;
        // Its standard error is complete only after it has exited.
        let _ = self.child.wait();
        let text = fs::read(&self.errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        ProbeError::Ended { what: self.what.clone(), last_log_line: last.unwrap_or("it printed nothing").to_owned() }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Sample;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_is_asked_and_answers() {
        let scratch = tempfile::tempdir().expect("a directory");
        let script = r#"read task; echo '{"ready":true}'
            while read request; do echo '{"seconds":[0.5],"peak_bytes":null,"loss":2.0}'; done"#;
        let mut probe =
            Probe::warm(shell(script), &Task::Versions, "a script".to_owned(), scratch.path()).expect("is warm");
        for _ in 0..2 {
            probe.ask(Request { seconds: 1.0, at_least: 1 }).expect("is there");
            let sample: Sample = probe.receive().expect("answers");
            assert_eq!(sample, Sample { seconds: vec![0.5], peak_bytes: None, loss: Some(2.0) });
        }
    }

    #[test]
    fn the_last_log_line_of_a_process_that_failed_is_passed_on() {
        let scratch = tempfile::tempdir().expect("a directory");
        let warm = |script: &str| {
            let probe = Probe::warm(shell(script), &Task::Versions, "a script".to_owned(), scratch.path());
            probe.expect_err("is not warm").to_string()
        };
        let message = warm("read task; echo a traceback >&2; echo no compiler >&2; exit 1");
        assert_eq!(message, "a script exited without an answer: no compiler");
        assert_eq!(warm("read task; echo hello"), "a script sent an unreadable answer");
        assert_eq!(warm("read task"), "a script exited without an answer: it printed nothing");
    }
}
