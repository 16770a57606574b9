//! Runs a command with bounds on its time and its output.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::pools::batch::one_line;

/// What is read of a command's errors.
const ERRORS: u64 = 16 << 10;

/// What a command said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) is_success: bool,
    pub(super) output: String,
    /// Its errors, on one line.
    pub(super) errors: String,
}

/// Why a command said nothing that can be relied on.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("cannot start it")]
    Start(#[source] io::Error),
    #[error("it took more than {0:?} and was killed")]
    TookTooLong(Duration),
    #[error("it wrote more than {0} bytes")]
    SaidTooMuch(u64),
    #[error("it says: {0}")]
    Refused(String),
    #[error("cannot read what it says")]
    Read(#[source] io::Error),
}

/// Variables of `sbatch` that say where jobs run and on whose account. All others of it could undo what a pool decides.
const HANDED_ON: [&str; 6] =
    ["SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION", "SBATCH_CONSTRAINT"];

/// Whether the commands of Slurm do not get a variable: those of this program may hold a token, those of the job that a coordinator itself
/// runs in would become those of the jobs that it submits, and those of the commands are options. With `SQUEUE_PARTITION`, for
/// example, `squeue` is silent about jobs elsewhere, which then seem to be gone.
#[must_use]
pub fn is_withheld(name: &str) -> bool {
    let begins = ["WINDTUNNEL_", "SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_"];
    begins.iter().any(|beginning| name.starts_with(beginning)) && !HANDED_ON.contains(&name)
}

/// Runs a program to its end and returns at most `most` bytes of its output. One that takes longer than `patience` is killed,
/// with all processes that it started.
pub(super) async fn run(
    program: &str,
    args: &[String],
    input: &str,
    patience: Duration,
    most: u64,
) -> Result<Said, CommandError> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_withheld)) {
        command.env_remove(name);
    }
    let spawned = command
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(CommandError::Start)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let all = async {
        let ((), output, errors) = tokio::join!(
            async {
                if let Some(mut stdin) = stdin.take() {
                    // A program that does not read its input says by its status what it makes of that.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            },
            read(stdout, most),
            read(stderr, ERRORS)
        );
        let status = child.wait().await;
        Ok::<_, io::Error>((status?, output?, errors?))
    };
    let ended = tokio::time::timeout(patience, all).await;
    let (status, output, errors) =
        ended.map_err(|_| CommandError::TookTooLong(patience))?.map_err(CommandError::Read)?;
    drop(group);
    if output.len() as u64 > most {
        return Err(CommandError::SaidTooMuch(most));
    }
    let errors = String::from_utf8_lossy(&errors);
    let errors: Vec<&str> = errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Said { is_success: status.success(), output, errors: one_line(&errors.join("; ")) })
}

/// Kills a process and all that it started, when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads a little more than `most` bytes at most, so that more of them show.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(from) = from {
        let mut bounded = from.take(most + 1);
        bounded.read_to_end(&mut text).await?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, input: &str, patience: Duration) -> Result<Said, CommandError> {
        run("/bin/sh", &["-c".to_owned(), script.to_owned()], input, patience, 100).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_a_command_says_is_read() {
        let said = shell("cat; echo a >&2; printf 'b\\033\\n' >&2; exit 3", "input", LONG).await.expect("it runs");
        assert_eq!((said.is_success, said.output.as_str(), said.errors.as_str()), (false, "input", "a; b"));
        assert!(shell("true", "", LONG).await.expect("it runs").is_success);
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mark = dir.path().join("mark");
        // The inner shell would hold the pipes open, and would write the mark once the pipe from here is gone.
        let script = format!("(while :; do sleep 0.02; done; echo > {}) & wait", mark.display());
        let error = shell(&script, "", Duration::from_millis(100)).await.expect_err("it hangs");
        assert!(matches!(error, CommandError::TookTooLong(_)), "{error}");
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn one_that_says_too_much_is_not_believed() {
        let error = shell("head -c 5000 /dev/zero", "", LONG).await.expect_err("it is too much");
        assert!(matches!(error, CommandError::SaidTooMuch(100)), "{error}");
        let error = run("/nonexistent/sbatch", &[], "", LONG, 1).await.expect_err("it is not there");
        assert!(matches!(error, CommandError::Start(_)), "{error}");
    }

    #[test]
    fn tokens_and_the_coordinators_own_job_are_withheld() {
        assert!(is_withheld("WINDTUNNEL_TOKEN") && is_withheld("SLURM_JOB_ID") && is_withheld("SLURM_MEM_PER_NODE"));
        assert!(is_withheld("SQUEUE_PARTITION") && is_withheld("SBATCH_WAIT") && is_withheld("SCANCEL_STATE"));
        assert!(!is_withheld("SLURM_CONF") && !is_withheld("PATH") && !is_withheld("SBATCH_ACCOUNT"));
    }
}
