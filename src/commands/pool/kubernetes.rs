//! Options of `windtunnel pool add kubernetes`.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use proto::v1;
use serde::Deserialize;

use super::settings::{bounded, five_minutes, lasting, one, rate, read_lasting, read_rate, six};
use crate::exit::{OrBadInput, bad_input};

/// A pool of Kubernetes jobs.
#[derive(Debug, Clone, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct KubernetesArgs {
    /// Name of the pool: lower-case letters, digits and dashes
    pub(super) name: String,

    /// Image with the program and a shell, such as deploy/Containerfile makes
    #[arg(long, value_name = "IMAGE")]
    image: String,

    /// Maximum number of jobs
    #[arg(long, value_name = "N")]
    max: u32,

    /// How long each worker stays, such as 90m, 8h or 2d
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = lasting)]
    #[serde(default = "eight_hours", deserialize_with = "read_lasting")]
    time: u64,

    /// Namespace of the jobs [default: the namespace of the context, or of the coordinator's pod]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    #[serde(default)]
    namespace: String,

    /// Context of the coordinator's kubeconfig [default: the current one, or the cluster around the coordinator]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    #[serde(default)]
    context: String,

    /// Jobs to keep even without work
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[serde(default)]
    min: u32,

    /// Jobs that may wait for a node at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    backlog: u32,

    /// GPUs of each worker
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[serde(default = "one")]
    gpus_per_worker: u32,

    /// Extended resource that GPUs are requested as
    #[arg(long, value_name = "NAME", default_value = "nvidia.com/gpu")]
    #[serde(default = "nvidia")]
    gpu_resource: String,

    /// CPUs that each worker requests, such as 8 or 500m
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    #[serde(default)]
    cpu: String,

    /// Memory that each worker requests and may use, such as 32Gi
    #[arg(long, value_name = "QUANTITY", default_value = "", hide_default_value = true)]
    #[serde(default)]
    memory: String,

    /// Device of each worker, as for `windtunnel worker` [default: the worker's own]
    #[arg(long, value_name = "DEVICE", default_value = "", hide_default_value = true)]
    #[serde(default)]
    device: String,

    /// How long a worker that is told to go may take to hand back its stage
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = lasting)]
    #[serde(default = "three_quarters", deserialize_with = "read_lasting")]
    grace: u64,

    /// How long a worker stays without work, and a job without a node that nothing needs
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = lasting)]
    #[serde(default = "five_minutes", deserialize_with = "read_lasting")]
    idle: u64,

    /// Maximum rate of submissions
    #[arg(long, value_name = "N/min", default_value = "6/min", value_parser = rate)]
    #[serde(default = "six", deserialize_with = "read_rate")]
    rate: u32,

    /// Program in the image, by name or path
    #[arg(long, value_name = "PATH", default_value = "windtunnel")]
    #[serde(default = "windtunnel")]
    program: String,

    /// Label of the jobs and their pods, such as Kueue's queue; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE")]
    #[serde(default)]
    label: Vec<String>,

    /// YAML or JSON file with a part of the pods' spec: tolerations, nodeSelector, affinity, priorityClassName, volumes
    #[arg(long, value_name = "FILE")]
    pod_spec: Option<PathBuf>,

    /// Address at which workers dial the coordinator [default: where it listens]
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    #[serde(default)]
    dial: String,

    /// CA certificates (PEM) that verify the coordinator there [default: those of the image]
    #[arg(long, value_name = "FILE")]
    dial_ca: Option<PathBuf>,
}

impl KubernetesArgs {
    pub(super) fn into_message(self) -> anyhow::Result<v1::KubernetesPool> {
        let ca = self.dial_ca.as_deref().map(bounded).transpose()?.unwrap_or_default();
        let label = |text: &String| {
            let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            pair.ok_or_else(|| bad_input(anyhow!("--label: accepted: expected KEY=VALUE, found `{text}`")))
        };
        let labels: HashMap<String, String> = self.label.iter().map(label).collect::<anyhow::Result<_>>()?;
        let pod_spec = match &self.pod_spec {
            None => String::new(),
            Some(file) => {
                let read = serde_saphyr::from_str::<serde_json::Value>(&bounded(file)?);
                let spec = read.map_err(|error| anyhow!("{error}"));
                spec.with_context(|| format!("{} is neither YAML nor JSON", file.display())).or_bad_input()?.to_string()
            }
        };
        Ok(v1::KubernetesPool {
            image: self.image,
            namespace: self.namespace,
            context: self.context,
            time_seconds: self.time,
            max: self.max,
            min: self.min,
            backlog: self.backlog,
            gpus_per_worker: self.gpus_per_worker,
            gpu_resource: self.gpu_resource,
            cpu: self.cpu,
            memory: self.memory,
            device: self.device,
            grace_seconds: self.grace,
            idle_seconds: self.idle,
            per_minute: self.rate,
            program: self.program,
            labels,
            pod_spec,
            dial: self.dial,
            ca,
        })
    }
}

fn eight_hours() -> u64 {
    8 * 3600
}

fn three_quarters() -> u64 {
    45
}

fn nvidia() -> String {
    "nvidia.com/gpu".to_owned()
}

fn windtunnel() -> String {
    "windtunnel".to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn of_options(line: &str) -> KubernetesArgs {
        let command = KubernetesArgs::augment_args(clap::Command::new("kubernetes"));
        let matches = command.try_get_matches_from(line.split(' ')).expect("it is sound");
        KubernetesArgs::from_arg_matches(&matches).expect("it is sound")
    }

    #[test]
    fn a_file_and_options_say_the_same() {
        let text = "name = 'gpu'\nimage = 'i'\nmax = 16\nrate = '9/min'\nlabel = ['team=a']\ngrace = '60s'\n";
        let of_file: KubernetesArgs = toml::from_str(text).expect("it is sound");
        assert_eq!(of_file, of_options("kubernetes gpu --image i --max 16 --rate 9/min --label team=a --grace 60s"));
        let message = of_file.into_message().expect("it is sound");
        assert_eq!((message.time_seconds, message.grace_seconds, message.per_minute), (28_800, 60, 9));
        assert_eq!(message.labels["team"], "a");
        toml::from_str::<KubernetesArgs>("name = 'a'\nimage = 'i'\nmax = 1\nimages = 'i'").expect_err("unknown");
    }

    #[test]
    fn a_part_of_a_spec_is_read_as_yaml_and_as_json() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("pod");
        for text in [
            "tolerations:\n  - {key: gpu, operator: Exists}\n",
            r#"{"tolerations": [{"key": "gpu", "operator": "Exists"}]}"#,
        ] {
            std::fs::write(&file, text).expect("it is written");
            let args = of_options(&format!("kubernetes gpu --image i --max 1 --pod-spec {}", file.display()));
            let spec = args.into_message().expect("it is sound").pod_spec;
            assert_eq!(spec, r#"{"tolerations":[{"key":"gpu","operator":"Exists"}]}"#);
        }
        std::fs::write(&file, "a: [").expect("it is written");
        let args = of_options(&format!("kubernetes gpu --image i --max 1 --pod-spec {}", file.display()));
        args.into_message().expect_err("it is neither");
        of_options("kubernetes gpu --image i --max 1 --label x").into_message().expect_err("it has no value");
    }
}
