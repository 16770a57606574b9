//! What somebody asks for when they add a pool.

use std::path::{Path, PathBuf};
use std::time::Duration;

use scheduler::pool::batch::BatchSettings;
use serde::{Deserialize, Serialize};

use crate::pools::batch::InvalidSettings;

/// Arguments that a user may hand through to `sbatch`, and how long each may be.
const MOST_ARGS: usize = 64;
const LONGEST_ARG: usize = 1024;

/// Options of `sbatch` that a pool sets itself.
const OWN_OPTIONS: [(&str, Option<char>, &str); 21] = [
    ("array", Some('a'), "a pool submits job by job"),
    ("chdir", Some('D'), "the pool's folder is used"),
    ("clusters", Some('M'), "give it to `pool add`"),
    ("comment", None, "the pool finds its jobs by it"),
    ("error", Some('e'), "logs are in the pool's folder"),
    ("gid", None, "the jobs are the coordinator's"),
    ("help", Some('h'), "it submits nothing"),
    ("input", Some('i'), "workers read nothing"),
    ("job-name", Some('J'), "the pool finds its jobs by it"),
    ("ntasks", Some('n'), "give --workers-per-allocation to `pool add`"),
    ("open-mode", None, "logs are in the pool's folder"),
    ("output", Some('o'), "logs are in the pool's folder"),
    ("parsable", None, "the pool reads the answer"),
    ("signal", None, "workers are told in time"),
    ("test-only", None, "it submits nothing"),
    ("time", Some('t'), "give it to `pool add`"),
    ("uid", None, "the jobs are the coordinator's"),
    ("usage", None, "it submits nothing"),
    ("version", Some('V'), "it submits nothing"),
    ("wait", Some('W'), "the pool does not wait for its jobs"),
    ("wrap", None, "the pool has a script of its own"),
];

/// Options of `sbatch` that take no value, or one behind `=` alone.
const WITHOUT_VALUE: [&str; 16] = [
    "contiguous",
    "exclusive",
    "get-user-env",
    "hold",
    "ignore-pbs",
    "no-kill",
    "no-requeue",
    "overcommit",
    "oversubscribe",
    "nice",
    "quiet",
    "reboot",
    "requeue",
    "spread-job",
    "use-min-nodes",
    "verbose",
];
const LETTERS_WITHOUT_VALUE: &str = "HIkOQsv";

/// A pool of Slurm jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SlurmSettings {
    /// The time limit of each job, in seconds: a whole number of minutes.
    pub(crate) time_seconds: u64,
    pub(crate) max: u32,
    pub(crate) min: u32,
    pub(crate) backlog: u32,
    pub(crate) gpus_per_worker: u32,
    pub(crate) workers_per_allocation: u32,
    /// What each worker trains on; the program's default where it is empty.
    pub(crate) device: String,
    pub(crate) idle_seconds: u64,
    pub(crate) per_minute: u32,
    /// The cluster to submit to, where there are several; may be empty.
    pub(crate) clusters: String,
    /// Handed through to `sbatch`.
    pub(crate) sbatch_args: Vec<String>,
    /// The program on the nodes; that of the coordinator where it is empty.
    pub(crate) program: String,
    /// The pool's folder, which the nodes must reach; below the storage where it is empty.
    pub(crate) folder: String,
    /// The address at which workers dial the coordinator; where it listens if it is empty.
    pub(crate) dial: String,
    /// Certificates (PEM) that verify the coordinator; those of the system if it is empty.
    pub(crate) ca: String,
}

impl SlurmSettings {
    /// Checks everything that was asked for.
    ///
    /// # Errors
    /// If something is out of bounds.
    pub(crate) fn check(&self, name: &str) -> Result<(), InvalidSettings> {
        let expect = |holds: bool, option, accepted| {
            if holds { Ok(()) } else { Err(InvalidSettings::Value { option, accepted }) }
        };
        let is_word = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_line = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
        let is_path = |text: &str| text.is_empty() || (is_line(text, 4096) && Path::new(text).is_absolute());
        let is_name = !name.is_empty() && is_word(name, 32) && name.as_bytes()[0].is_ascii_alphanumeric();
        expect(
            is_name,
            "the pool's name",
            "1 to 32 letters, digits, dots, dashes and underscores, a letter or digit first",
        )?;
        let is_time = (60..=365 * 86_400).contains(&self.time_seconds) && self.time_seconds.is_multiple_of(60);
        expect(is_time, "--time", "1 minute to 365 days, in whole minutes: Slurm must know when a job ends")?;
        expect((1..=10_000).contains(&self.max), "--max", "1 to 10000")?;
        expect(self.min <= self.max, "--min", "0 to --max")?;
        expect((1..=10_000).contains(&self.backlog), "--backlog", "1 to 10000")?;
        expect(self.gpus_per_worker <= 64, "--gpus-per-worker", "0 to 64")?;
        expect((1..=64).contains(&self.workers_per_allocation), "--workers-per-allocation", "1 to 64")?;
        expect((1..=86_400).contains(&self.idle_seconds), "--idle", "1 second to 1 day")?;
        expect((1..=600).contains(&self.per_minute), "--rate", "1/min to 600/min")?;
        expect(is_line(&self.device, 64), "--device", "up to 64 characters")?;
        expect(is_word(&self.clusters, 64), "--clusters", "the name of one cluster")?;
        expect(is_path(&self.program), "--program", "an absolute path on the nodes")?;
        expect(is_path(&self.folder), "--folder", "an absolute path that the nodes reach")?;
        let is_address = self.dial.is_empty() || (is_line(&self.dial, 1024) && self.dial.contains("://"));
        expect(is_address && !self.dial.contains('@'), "--dial", "an address such as https://login-1:7450")?;
        expect(self.ca.len() <= 256 << 10, "--dial-ca", "certificates (PEM) of up to 256 KiB")?;
        expect(self.sbatch_args.len() <= MOST_ARGS, "the options of sbatch", "up to 64")?;
        check_args(&self.sbatch_args)
    }

    /// The part that decides how many allocations there are.
    pub(in crate::pools) fn batch(&self, settle: Duration) -> BatchSettings {
        BatchSettings {
            min: self.min,
            max: self.max,
            backlog: self.backlog,
            workers_per_allocation: self.workers_per_allocation,
            idle: Duration::from_secs(self.idle_seconds),
            per_minute: self.per_minute,
            settle,
            misses: 2,
            // `squeue` shows a job that ended for some minutes, unless the site has set less.
            absence_is_failure: true,
        }
    }

    /// How long before the end of a job its workers are told. Slurm may be up to a minute early.
    pub(super) fn warning_seconds(&self) -> u64 {
        (self.time_seconds / 10).clamp(20, 180)
    }

    pub(in crate::pools) fn folder(&self, otherwise: PathBuf) -> PathBuf {
        if self.folder.is_empty() { otherwise } else { PathBuf::from(&self.folder) }
    }
}

/// Refuses whatever is not an option or the value of one: `sbatch` would take it for the script to run, and read no options after
/// it.
fn check_args(args: &[String]) -> Result<(), InvalidSettings> {
    let refused = |arg: &str, why: &str| Err(InvalidSettings::Arg { arg: arg.to_owned(), why: why.to_owned() });
    let mut awaits_value = None;
    for arg in args {
        if awaits_value.take().is_some() && !arg.starts_with('-') {
            check_text(arg)?;
            continue;
        }
        if !arg.starts_with('-') {
            return refused(arg, "it is neither an option nor the value of one");
        }
        check_option(arg)?;
        let takes_value = match (arg.strip_prefix("--"), arg[1..].chars().next()) {
            (Some(long), _) => !long.contains('=') && !WITHOUT_VALUE.iter().any(|name| name.starts_with(long)),
            (None, Some(letter)) if LETTERS_WITHOUT_VALUE.contains(letter) => {
                if arg.len() > 2 {
                    return refused(arg, "give each short option by itself");
                }
                false
            }
            (None, _) => arg.len() == 2,
        };
        awaits_value = takes_value.then_some(arg);
    }
    match awaits_value {
        // It would take the first option of the pool for its value.
        Some(arg) => refused(arg, "its value is missing"),
        None => Ok(()),
    }
}

fn check_text(arg: &str) -> Result<(), InvalidSettings> {
    if arg.is_empty() || arg.len() > LONGEST_ARG || arg.chars().any(char::is_control) {
        let why = "accepted: 1 to 1024 characters without control characters".to_owned();
        return Err(InvalidSettings::Arg { arg: arg.to_owned(), why });
    }
    Ok(())
}

/// Refuses what a pool decides itself. `sbatch` accepts any unambiguous beginning of an option.
fn check_option(arg: &str) -> Result<(), InvalidSettings> {
    check_text(arg)?;
    let refused = |why: &str| Err(InvalidSettings::Arg { arg: arg.to_owned(), why: why.to_owned() });
    if arg == "--" || arg == "-" {
        return refused("the pool has a script of its own");
    }
    let long = arg.strip_prefix("--").map(|option| option.split('=').next().unwrap_or_default());
    let short =
        arg.strip_prefix('-').filter(|option| !option.starts_with('-')).and_then(|option| option.chars().next());
    for (name, letter, why) in OWN_OPTIONS {
        let is_long = long.is_some_and(|long| name.starts_with(long));
        if is_long || (short.is_some() && short == letter) {
            return refused(why);
        }
    }
    Ok(())
}

/// Settings for tests.
#[cfg(test)]
pub(in crate::pools) fn sample() -> SlurmSettings {
    SlurmSettings {
        time_seconds: 3600,
        max: 4,
        min: 0,
        backlog: 1,
        gpus_per_worker: 1,
        workers_per_allocation: 1,
        device: String::new(),
        idle_seconds: 300,
        per_minute: 6,
        clusters: String::new(),
        sbatch_args: vec!["-p".to_owned(), "main".to_owned(), "--account=me".to_owned(), "--time-min=5".to_owned()],
        program: String::new(),
        folder: String::new(),
        dial: String::new(),
        ca: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SlurmSettings {
        sample()
    }

    #[test]
    fn sound_settings_are_accepted_and_each_bound_is_named() {
        assert_eq!(settings().check("main-1"), Ok(()));
        let refused =
            |settings: SlurmSettings, name: &str| settings.check(name).expect_err("it is refused").to_string();
        assert!(refused(settings(), "a:b").contains("the pool's name"));
        assert!(refused(settings(), "-a").contains("the pool's name"));
        assert!(refused(SlurmSettings { time_seconds: 90, ..settings() }, "a").starts_with("--time: accepted"));
        assert!(refused(SlurmSettings { min: 5, ..settings() }, "a").starts_with("--min"));
        assert!(
            refused(SlurmSettings { program: "windtunnel".to_owned(), ..settings() }, "a").starts_with("--program")
        );
    }

    #[test]
    fn what_the_pool_decides_itself_is_not_handed_through() {
        for arg in
            ["--time=5", "--tim=5", "-t5", "-t", "--comment=x", "--com=x", "-J", "--array=1-9", "-M", "--wrap=x", "--"]
        {
            assert!(check(&[arg]).is_err(), "{arg}");
        }
        for arg in ["--test-only", "--version", "-h", "--uid=me", "-Qa1-3", "-QW", "a\nb"] {
            assert!(check(&[arg]).is_err(), "{arg}");
        }
        let error = check(&["--time=5"]).expect_err("it is refused").to_string();
        assert_eq!(error, "`--time=5` cannot be handed to sbatch: give it to `pool add`");
    }

    #[test]
    fn options_and_their_values_are_handed_through_and_a_script_is_not() {
        let sound: [&[&str]; 6] = [
            &["--qos=high", "-A", "me", "--time-min=5", "--exclusive", "--mem=4G"],
            &["-p", "main", "--reservation", "r", "--hold"],
            &["-pmain", "-H", "--ntasks-per-node=1"],
            &["--constraint", "a100&nvlink"],
            &["--nice=100", "--no-requeue"],
            &[],
        ];
        for args in sound {
            assert_eq!(check(args), Ok(()), "{args:?}");
        }
        for args in [
            &["job.sh"][..],
            &["-p", "main", "job.sh"],
            &["--hold", "job.sh"],
            &["-H", "job.sh"],
            &["--mem=4G", "job.sh"],
        ] {
            let error = check(args).expect_err("it is a script").to_string();
            assert!(error.starts_with("`job.sh` cannot"), "{error}");
        }
        let error = check(&["--hold", "-p"]).expect_err("it would take the next option").to_string();
        assert_eq!(error, "`-p` cannot be handed to sbatch: its value is missing");
    }

    fn check(args: &[&str]) -> Result<(), InvalidSettings> {
        check_args(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }
}
