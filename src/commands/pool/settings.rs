//! What a pool is added with: the options, and the same as a TOML file.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use proto::v1;
use serde::Deserialize;

use super::kubernetes::KubernetesArgs;
use crate::exit::{OrBadInput, bad_input};

/// The longest file that describes a pool.
const LONGEST_FILE: u64 = 64 << 10;

/// A pool of Slurm jobs.
#[derive(Debug, Clone, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SlurmArgs {
    /// Name of the pool; its jobs are called windtunnel-NAME
    pub(super) name: String,

    /// Time limit of each job, such as 90m, 8h, 2d or 1-12:00:00
    #[arg(long, value_name = "TIME", value_parser = lasting)]
    #[serde(deserialize_with = "read_lasting")]
    time: u64,

    /// Jobs at most
    #[arg(long, value_name = "N")]
    max: u32,

    /// Jobs to keep even without work
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[serde(default)]
    min: u32,

    /// Jobs that may wait in the queue at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    backlog: u32,

    /// GPUs of each worker
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    gpus_per_worker: u32,

    /// Workers of each job
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    workers_per_allocation: u32,

    /// Device of each worker, as for `windtunnel worker` [default: the worker's own]
    #[arg(long, value_name = "DEVICE", default_value = "", hide_default_value = true)]
    #[serde(default)]
    device: String,

    /// How long a worker stays without work, and a job in the queue that nothing needs
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = lasting)]
    #[serde(default = "five_minutes", deserialize_with = "read_lasting")]
    idle: u64,

    /// Submissions at most
    #[arg(long, value_name = "N/min", default_value = "6/min", value_parser = rate)]
    #[serde(default = "six", deserialize_with = "read_rate")]
    rate: u32,

    /// Cluster to submit to, where Slurm has several (-M)
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    #[serde(default)]
    clusters: String,

    /// Program on the nodes [default: the coordinator's own path]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    #[serde(default)]
    program: String,

    /// Folder for the pool's token, address and logs, which the nodes must reach [default: pools/NAME in the storage]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    #[serde(default)]
    folder: String,

    /// Address at which workers dial the coordinator [default: where it listens]
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    #[serde(default)]
    dial: String,

    /// CA certificates (PEM) that verify the coordinator there [default: those of the nodes' system]
    #[arg(long, value_name = "FILE")]
    dial_ca: Option<PathBuf>,

    /// Options for sbatch: partition, account, memory and so on
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    #[serde(default)]
    sbatch: Vec<String>,
}

/// A pool, as a file describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Described {
    Slurm(Box<SlurmArgs>),
    Kubernetes(Box<KubernetesArgs>),
}

impl Described {
    pub(super) fn into_request(self) -> anyhow::Result<v1::AddPoolRequest> {
        let empty = v1::AddPoolRequest::default();
        Ok(match self {
            Self::Slurm(args) => {
                v1::AddPoolRequest { name: args.name.clone(), slurm: Some(args.into_message()?), ..empty }
            }
            Self::Kubernetes(args) => {
                v1::AddPoolRequest { name: args.name.clone(), kubernetes: Some(args.into_message()?), ..empty }
            }
        })
    }
}

/// Reads a file that describes a pool.
pub(super) fn read(file: &Path) -> anyhow::Result<Described> {
    let text = bounded(file)?;
    toml::from_str(&text).with_context(|| format!("{} does not describe a pool", file.display())).or_bad_input()
}

/// Reads a file that is part of a pool's description.
pub(super) fn bounded(file: &Path) -> anyhow::Result<String> {
    let path = file.display();
    let metadata = std::fs::metadata(file).with_context(|| format!("cannot read {path}")).or_bad_input()?;
    if !metadata.is_file() {
        return Err(bad_input(anyhow!("{path} is not a file")));
    }
    if metadata.len() > LONGEST_FILE {
        return Err(bad_input(anyhow!("{path} has {} bytes: at most {LONGEST_FILE} describe a pool", metadata.len())));
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {path}")).or_bad_input()
}

impl SlurmArgs {
    pub(super) fn into_message(self) -> anyhow::Result<v1::SlurmPool> {
        let ca = self.dial_ca.as_deref().map(|file| {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())).or_bad_input()
        });
        Ok(v1::SlurmPool {
            time_seconds: self.time,
            max: self.max,
            min: self.min,
            backlog: self.backlog,
            gpus_per_worker: self.gpus_per_worker,
            workers_per_allocation: self.workers_per_allocation,
            device: self.device,
            idle_seconds: self.idle,
            per_minute: self.rate,
            clusters: self.clusters,
            sbatch_args: self.sbatch,
            program: self.program,
            folder: self.folder,
            dial: self.dial,
            ca: ca.transpose()?.unwrap_or_default(),
        })
    }
}

pub(super) fn one() -> u32 {
    1
}

pub(super) fn six() -> u32 {
    6
}

pub(super) fn five_minutes() -> u64 {
    300
}

/// A time in seconds: `90s`, `30m`, `8h`, `2d`, or as Slurm writes it with colons.
pub(in crate::commands) fn lasting(text: &str) -> Result<u64, String> {
    let refused =
        || "accepted: a whole number and s, m, h or d, such as 8h, or [DAYS-]HOURS:MINUTES:SECONDS".to_owned();
    for (unit, seconds) in [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)] {
        if let Some(number) = text.strip_suffix(unit) {
            let number: u64 = number.parse().map_err(|_| refused())?;
            return number.checked_mul(seconds).ok_or_else(refused);
        }
    }
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let parts: Option<Vec<u64>> = clock.split(':').map(|part| part.parse().ok().filter(|part| *part < 1000)).collect();
    let [hours, minutes, seconds] = parts.and_then(|parts| <[u64; 3]>::try_from(parts).ok()).ok_or_else(refused)?;
    let days: u64 = days.parse().ok().filter(|days| *days < 10_000).ok_or_else(refused)?;
    Ok(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

pub(super) fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/min").and_then(|number| number.parse().ok());
    number.ok_or_else(|| "accepted: a whole number of submissions a minute, such as 6/min".to_owned())
}

pub(super) fn read_lasting<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    lasting(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub(super) fn read_rate<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    rate(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn described(text: &str) -> Result<Described, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("pool.toml");
        std::fs::write(&file, text).expect("it is written");
        read(&file).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_and_options_say_the_same() {
        let command = SlurmArgs::augment_args(clap::Command::new("slurm"));
        let line = "slurm gpu --time 8h --max 16 --rate 9/min --idle 90s -- -p gpu --mem=32G";
        let matches = command.try_get_matches_from(line.split(' ')).expect("it is sound");
        let of_options = SlurmArgs::from_arg_matches(&matches).expect("it is sound");
        let text = "kind = 'slurm'\nname = 'gpu'\ntime = '8h'\nmax = 16\nrate = '9/min'\nidle = '90s'\n\
                    sbatch = ['-p', 'gpu', '--mem=32G']\n";
        assert_eq!(described(text), Ok(Described::Slurm(Box::new(of_options.clone()))));
        assert_eq!((of_options.time, of_options.backlog, of_options.gpus_per_worker), (8 * 3600, 1, 1));
        let message = of_options.into_message().expect("no file is named");
        assert_eq!((message.per_minute, message.idle_seconds, message.sbatch_args.len()), (9, 90, 3));
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_with_its_place() {
        let unknown =
            described("kind = 'slurm'\nname = 'a'\ntime = '8h'\nmax = 1\nmaximum = 2\n").expect_err("refused");
        assert!(unknown.contains("maximum"), "{unknown}");
        let kind = described("kind = 'pbs'\nname = 'a'\n").expect_err("refused");
        assert!(kind.contains("pbs") && kind.contains("slurm"), "{kind}");
        let time = described("kind = 'slurm'\nname = 'a'\ntime = 'soon'\nmax = 1\n").expect_err("refused");
        assert!(time.contains("such as 8h"), "{time}");
    }

    #[test]
    fn times_and_rates_are_read() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("2d", 172_800), ("08:00:00", 28_800), ("1-12:00:01", 129_601)]
        {
            assert_eq!(lasting(text), Ok(seconds), "{text}");
        }
        for text in ["", "8", "h", "-1h", "8:00", "1:2:3:4", "99999999999999999999d", "1-1-1:1:1"] {
            lasting(text).expect_err(text);
        }
        assert_eq!(rate("6/min"), Ok(6));
        rate("6").expect_err("no unit");
    }
}
