//! Starts and ends one worker process.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, Command};
use tracing::warn;
use vocabulary::WorkerId;

/// How much longer than its grace a worker may take to exit after its standard input is closed. It ends itself five seconds
/// after its grace, even if it hangs.
const AFTER_GRACE: Duration = Duration::from_secs(10);

/// How the names of the variables begin that set options of this program.
const OWN_VARIABLES: &[u8] = b"WINDTUNNEL_";

/// Why a worker cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Its log cannot be written.
    #[error("cannot write {}", .path.display())]
    Log {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {}", .program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What all workers of a pool have in common.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) coordinator_url: String,
    pub(super) log_dir: PathBuf,
    pub(super) name_prefix: String,
    /// How long a worker may take to hand back its stage.
    pub(super) grace: Duration,
}

/// How to start the worker of a number.
#[derive(Debug)]
pub(super) struct Launch {
    program: Program,
    pub(super) name: String,
    pub(super) log: PathBuf,
}

/// A worker process that was started and not reaped yet. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) id: WorkerId,
    pub(super) started: Instant,
    /// Size of the log when the process started.
    pub(super) log_from: u64,
    grace: Duration,
    child: Child,
    /// Kept open as long as the worker is wanted. Not in `child`, which would close it to wait.
    stdin: Option<ChildStdin>,
}

impl Program {
    /// How to start its worker of this number.
    pub(super) fn launch(&self, number: u32) -> Launch {
        let name = format!("{}-{number}", self.name_prefix);
        Launch { program: self.clone(), log: self.log_dir.join(format!("{name}.log")), name }
    }
}

impl Launch {
    /// Starts a process with a fresh worker id.
    pub(super) fn start(&self) -> Result<WorkerProcess, PoolError> {
        let id = WorkerId::from_bytes(rand::random());
        let no_log = |source| PoolError::Log { path: self.log.clone(), source };
        let log = File::options().create(true).append(true).open(&self.log).map_err(no_log)?;
        let log_from = log.metadata().map_err(no_log)?.len();
        let errors = log.try_clone().map_err(no_log)?;
        let Program { program, args, coordinator_url, grace, .. } = &self.program;
        let mut command = Command::new(program);
        // They are meant for other commands: a token or certificate of another scope would be refused.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(OWN_VARIABLES)) {
            command.env_remove(name);
        }
        let child = command
            .args(args)
            .args(["--coordinator", coordinator_url, "--name", &self.name])
            .args(["--worker-id", &id.to_string(), "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            // In this process's group, so that killing the group kills the workers, too. Ctrl-C in the terminal also
            // reaches them; workers that end with their standard input leave its handling to the coordinator.
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|source| PoolError::Start { program: program.clone(), source })?;
        let stdin = child.stdin.take();
        Ok(WorkerProcess { id, started: Instant::now(), log_from, grace: *grace, child, stdin })
    }
}

impl WorkerProcess {
    /// Waits until it has exited and is reaped.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it by closing its standard input, or by force if it does not go when its grace is long over. Returns once it is
    /// reaped.
    pub(super) async fn end(&mut self) -> io::Result<ExitStatus> {
        let patience = self.grace.saturating_add(AFTER_GRACE);
        self.end_within(patience).await
    }

    async fn end_within(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.stdin = None;
        if let Ok(ended) = tokio::time::timeout(patience, self.child.wait()).await {
            return ended;
        }
        warn!(worker = %self.id, "a local worker does not go, and is killed");
        self.child.start_kill()?;
        self.child.wait().await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn launch(dir: &std::path::Path, script: &str) -> WorkerProcess {
        let program = Program {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            coordinator_url: "http://127.0.0.1:1".to_owned(),
            log_dir: dir.to_owned(),
            name_prefix: "local".to_owned(),
            grace: Duration::ZERO,
        };
        program.launch(1).start().expect("a shell starts")
    }

    #[tokio::test]
    async fn it_goes_by_itself_when_its_standard_input_ends() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = launch(dir.path(), "cat > /dev/null; exit 7");
        assert_eq!(process.end().await.expect("it is reaped").code(), Some(7));
    }

    #[tokio::test]
    async fn what_does_not_go_is_killed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = launch(dir.path(), "while :; do sleep 0.05; done");
        let ended = process.end_within(Duration::from_millis(20)).await.expect("it is reaped");
        assert_eq!(ended.signal(), Some(9));
    }
}
