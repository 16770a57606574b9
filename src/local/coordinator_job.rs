//! A coordinator as a job of Slurm: its folder, its script, and the commands that find and submit it.
//!
//! Of one data directory there is one such job at a time: it is found by its name, which is a hash of the path, and Slurm starts
//! no two jobs of one name (`--dependency=singleton`). Whatever the job knows is in the data directory, so another one continues
//! where it was. Only options of Slurm 20.11 are used.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};

use crate::exit::bad_input;

/// What belongs to the job, in the data directory.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Where it is, or would be.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("slurm"))
    }

    /// Makes it, for its owner alone.
    pub(crate) fn make(data_dir: &Path) -> io::Result<Self> {
        let folder = Self::of(data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder.0)?;
        Ok(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file in which the coordinator announces itself.
    pub(crate) fn rendezvous(&self) -> PathBuf {
        self.path("rendezvous.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path("coordinator.log")
    }

    /// Writes a file whole or not at all, for its owner alone.
    pub(crate) fn keep(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, beside) = (self.path(name), self.path(&format!(".{name}.new")));
        let write = || {
            let _ = fs::remove_file(&beside);
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The job, as it is asked for.
#[derive(Debug)]
pub(crate) struct CoordinatorJob<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) folder: &'a Folder,
    pub(crate) program: &'a Path,
    /// Its time limit.
    pub(crate) minutes: u64,
    /// Options of `sbatch`.
    pub(crate) sbatch: &'a [String],
    /// Options of `windtunnel serve`.
    pub(crate) serve: &'a [String],
}

impl CoordinatorJob<'_> {
    /// Its number, if it is in the queue or runs.
    pub(crate) fn find(&self) -> anyhow::Result<Option<u64>> {
        // The folder was made by this user.
        let owner =
            fs::metadata(&self.folder.0).with_context(|| format!("cannot look at {}", self.folder.0.display()))?;
        let user = format!("--user={}", owner.uid());
        let name = format!("--name={}", self.name());
        let said = run("squeue", &["--noheader".to_owned(), user, name, "--format=%A %T".to_owned()], "")?;
        let jobs = said.lines().filter_map(|line| line.trim().split_once(' '));
        // One that is completing has given the data directory back.
        Ok(jobs.filter(|(_, state)| *state != "COMPLETING").find_map(|(job, _)| job.parse().ok()))
    }

    /// Asks Slurm whether it would take a job with these options, and submits nothing.
    pub(crate) fn test(&self, options: &[String]) -> anyhow::Result<()> {
        let options = [&["--test-only".to_owned()], options].concat();
        run("sbatch", &options, "#!/bin/sh\n").map(drop)
    }

    /// Submits it, and returns its number.
    pub(crate) fn submit(&self) -> anyhow::Result<u64> {
        let script = "coordinator.sbatch";
        self.folder.keep(script, &self.script())?;
        let mut args: Vec<String> = [
            "--parsable",
            "--requeue",
            "--dependency=singleton",
            "--open-mode=append",
            "--nodes=1",
            "--ntasks=1",
            "--cpus-per-task=1",
            "--mem=2G",
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend_from_slice(self.sbatch);
        args.extend([
            format!("--job-name={}", self.name()),
            format!("--time={}", self.minutes),
            format!("--signal=B:USR1@{}", (self.minutes * 6).clamp(20, 120)),
            format!("--chdir={}", self.data_dir.display()),
            format!("--output={}", self.folder.log().display()),
            self.folder.path(script).display().to_string(),
        ]);
        let said = run("sbatch", &args, "").context("the coordinator's job is refused")?;
        let job = said.trim().split(';').next().and_then(|job| job.parse().ok());
        job.ok_or_else(|| anyhow!("sbatch does not say which job it submitted, but: {}", in_short(&said)))
    }

    fn name(&self) -> String {
        let path = self.data_dir.canonicalize().unwrap_or_else(|_| self.data_dir.to_owned());
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        format!("windtunnel-coordinator-{}", &hash[..12])
    }

    /// The script, for bash. Slurm keeps a copy, so it holds no secret.
    fn script(&self) -> String {
        let word = |path: &Path| quoted(&path.display().to_string());
        let (program, data_dir) = (word(self.program), word(self.data_dir));
        let (pool, rendezvous) = (word(&self.folder.path("pool.toml")), word(&self.folder.rendezvous()));
        let further: String = self.serve.iter().map(|arg| format!(" {}", quoted(arg))).collect();
        format!(
            r#"#!/bin/bash
# The coordinator of a campaign on Slurm. `windtunnel submit --slurm` made this script; the same command makes it again.
umask 077
for name in $(compgen -e WINDTUNNEL_); do unset "$name"; done
{program} --data-dir {data_dir} --log info serve --announce {rendezvous} --pool {pool} --until-idle{further} &
serve=$!
# Slurm sends SIGTERM to every process of the job. This shell alone gets SIGUSR1, shortly before the time limit: the coordinator
# ends, and its job goes back into the queue. Workers train on meanwhile and find it when it starts again.
trap : TERM CONT
trap 'is_over=1; kill -TERM "$serve"' USR1
while wait "$serve"; status=$?; [ "$status" -gt 128 ] && kill -0 "$serve" 2>/dev/null; do :; done
if [ -n "${{is_over:-}}" ]; then
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"#
        )
    }
}

/// What a command printed.
fn run(program: &str, args: &[String], input: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(coordinator::is_withheld_from_slurm))
    {
        command.env_remove(name);
    }
    command.args(args).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn().with_context(|| format!("cannot start {program}: is this a login node of Slurm?"));
    let mut child = started.map_err(bad_input)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says by its status what it makes of that.
        let _ = stdin.write_all(input.as_bytes());
    }
    let ended = child.wait_with_output().with_context(|| format!("cannot read what {program} says"))?;
    if !ended.status.success() {
        let errors = in_short(&String::from_utf8_lossy(&ended.stderr));
        return Err(bad_input(anyhow!("{program} says: {errors}")));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Text of a command, on one line and bounded.
fn in_short(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    text.trim().to_owned()
}

/// One word for the shell, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_can_parse_the_script_and_it_says_what_was_asked_for() {
        let folder = Folder(PathBuf::from("/shared/it's here/slurm"));
        let job = CoordinatorJob {
            data_dir: Path::new("/shared/it's here"),
            folder: &folder,
            program: Path::new("/opt/windtunnel"),
            minutes: 60,
            sbatch: &[],
            serve: &["--metrics=127.0.0.1:0".to_owned()],
        };
        let script = job.script();
        for part in [
            "\n/opt/windtunnel --data-dir '/shared/it'\\''s here' --log info serve --announce ",
            "--pool '/shared/it'\\''s here/slurm/pool.toml' --until-idle --metrics=127.0.0.1:0 &\n",
            "exec scontrol requeue",
        ] {
            assert!(script.contains(part), "{part} is not in {script}");
        }
        let mut bash = Command::new("bash");
        let mut bash = bash.arg("-n").stdin(Stdio::piped()).spawn().expect("bash starts");
        bash.stdin.take().expect("is piped").write_all(script.as_bytes()).expect("it is read");
        assert!(bash.wait().expect("it ends").success());
        assert_eq!(job.name(), job.name());
        assert_ne!(job.name(), CoordinatorJob { data_dir: Path::new("/elsewhere"), ..job }.name());
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let folder = Folder::make(dir.path()).expect("it is made");
        for text in ["first", "second"] {
            folder.keep("pool.toml", text).expect("it is written");
        }
        assert_eq!(fs::read_to_string(folder.path("pool.toml")).expect("is there"), "second");
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder.0), mode(&folder.path("pool.toml"))), (0o700, 0o600));
    }
}
