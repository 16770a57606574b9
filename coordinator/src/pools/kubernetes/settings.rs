//! What somebody asks for when they add a pool of Kubernetes jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::pool::batch::BatchSettings;
use serde::{Deserialize, Serialize};

use super::extra;
use crate::pools::batch::InvalidSettings;

/// Labels that somebody may add.
const MOST_LABELS: usize = 32;

/// Answers in a row from which a job has to be missing: a quarter of a minute.
const MISSES: u32 = 3;

/// A pool of Kubernetes jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KubernetesSettings {
    pub(crate) image: String,
    /// Where the jobs are; empty for the namespace of the context, or of the coordinator's pod.
    pub(crate) namespace: String,
    /// The context of the kubeconfig; the current one, or the cluster around the coordinator, if it is empty.
    pub(crate) context: String,
    /// How long each worker stays, in seconds.
    pub(crate) time_seconds: u64,
    pub(crate) max: u32,
    pub(crate) min: u32,
    pub(crate) backlog: u32,
    pub(crate) gpus_per_worker: u32,
    /// The resource that GPUs are limits of.
    pub(crate) gpu_resource: String,
    /// CPUs and memory that are requested, as quantities; may be empty.
    pub(crate) cpu: String,
    pub(crate) memory: String,
    /// What each worker trains on; the program's default where it is empty.
    pub(crate) device: String,
    /// How long a worker that is told to go may take, in seconds.
    pub(crate) grace_seconds: u64,
    pub(crate) idle_seconds: u64,
    pub(crate) per_minute: u32,
    /// The program in the image.
    pub(crate) program: String,
    /// Labels of the jobs and their pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// A part of the pods' spec, as JSON; may be empty.
    pub(crate) pod_spec: String,
    /// The address at which workers dial the coordinator; where it listens if it is empty.
    pub(crate) dial: String,
    /// Certificates (PEM) that verify the coordinator; those of the image if it is empty.
    pub(crate) ca: String,
}

impl KubernetesSettings {
    /// Checks everything that was asked for.
    ///
    /// # Errors
    /// If something is out of bounds, or the part of the pods' spec sets what the pool decides.
    pub(in crate::pools) fn check(&self, name: &str) -> Result<(), InvalidSettings> {
        let expect = |holds: bool, option, accepted| {
            if holds { Ok(()) } else { Err(InvalidSettings::Value { option, accepted }) }
        };
        expect(
            is_dns_label(name, 32),
            "the pool's name",
            "1 to 32 lower-case letters, digits and dashes, a letter or digit first and last",
        )?;
        let is_line = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
        let is_image = !self.image.is_empty() && is_line(&self.image, 512) && !self.image.contains(' ');
        expect(is_image, "--image", "an image such as registry.example/windtunnel:1")?;
        let is_namespace = self.namespace.is_empty() || is_dns_label(&self.namespace, 63);
        expect(is_namespace, "--namespace", "the name of a namespace")?;
        expect(is_line(&self.context, 256), "--context", "up to 256 characters")?;
        expect((60..=365 * 86_400).contains(&self.time_seconds), "--time", "1 minute to 365 days")?;
        expect((1..=10_000).contains(&self.max), "--max", "1 to 10000")?;
        expect(self.min <= self.max, "--min", "0 to --max")?;
        expect((1..=10_000).contains(&self.backlog), "--backlog", "1 to 10000")?;
        expect(self.gpus_per_worker <= 64, "--gpus-per-worker", "0 to 64")?;
        expect(is_key(&self.gpu_resource), "--gpu-resource", "a resource such as nvidia.com/gpu")?;
        expect(is_quantity(&self.cpu), "--cpu", "a quantity such as 8 or 500m")?;
        expect(is_quantity(&self.memory), "--memory", "a quantity such as 32Gi")?;
        expect(is_line(&self.device, 64), "--device", "up to 64 characters")?;
        expect((1..=3600).contains(&self.grace_seconds), "--grace", "1 second to 1 hour")?;
        expect((1..=86_400).contains(&self.idle_seconds), "--idle", "1 second to 1 day")?;
        expect((1..=600).contains(&self.per_minute), "--rate", "1/min to 600/min")?;
        let is_program = !self.program.is_empty() && is_line(&self.program, 4096);
        expect(is_program, "--program", "the program in the image, by name or path")?;
        let is_address = self.dial.is_empty() || (is_line(&self.dial, 1024) && self.dial.contains("://"));
        expect(is_address && !self.dial.contains('@'), "--dial", "an address such as https://windtunnel:7450")?;
        expect(self.ca.len() <= 256 << 10, "--dial-ca", "certificates (PEM) of up to 256 KiB")?;
        let is_label = |(key, value): (&String, &String)| {
            is_key(key) && !key.starts_with(super::manifest::OWN) && is_label_value(value)
        };
        let are_labels = self.labels.len() <= MOST_LABELS && self.labels.iter().all(is_label);
        expect(are_labels, "--label", "up to 32 of the form KEY=VALUE, none of which begins with windtunnel/")?;
        extra::check(&self.pod_spec)
    }

    /// The part that decides how many allocations there are.
    pub(in crate::pools) fn batch(&self, settle: Duration) -> BatchSettings {
        BatchSettings {
            min: self.min,
            max: self.max,
            backlog: self.backlog,
            workers_per_allocation: 1,
            idle: Duration::from_secs(self.idle_seconds),
            per_minute: self.per_minute,
            settle,
            misses: MISSES,
            // A job that ended by itself stays in the list for an hour. One that is missing was deleted.
            absence_is_failure: false,
        }
    }
}

/// Whether a text is a label of DNS, as most names of Kubernetes are.
fn is_dns_label(text: &str, most: usize) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    text.len() <= most
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Whether a text is a label's value, or the last part of a key.
fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// Whether a text is the key of a label or the name of a resource: a name, perhaps behind a domain and a slash.
fn is_key(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| domain.len() <= 253 && domain.split('.').all(|part| is_dns_label(part, 63));
    !name.is_empty() && is_label_value(name) && domain.is_none_or(is_domain)
}

/// Whether a text looks like a quantity, or is empty. The server decides.
fn is_quantity(text: &str) -> bool {
    text.len() <= 32
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        && text.bytes().next().is_none_or(|byte| byte.is_ascii_digit())
}

/// Settings for tests.
#[cfg(test)]
pub(super) fn sample() -> KubernetesSettings {
    KubernetesSettings {
        image: "registry.example/windtunnel:1".to_owned(),
        namespace: "training".to_owned(),
        context: String::new(),
        time_seconds: 3600,
        max: 4,
        min: 0,
        backlog: 2,
        gpus_per_worker: 1,
        gpu_resource: "nvidia.com/gpu".to_owned(),
        cpu: "8".to_owned(),
        memory: "32Gi".to_owned(),
        device: String::new(),
        grace_seconds: 45,
        idle_seconds: 300,
        per_minute: 6,
        program: "windtunnel".to_owned(),
        labels: BTreeMap::new(),
        pod_spec: String::new(),
        dial: String::new(),
        ca: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_settings_are_accepted_and_each_bound_is_named() {
        assert_eq!(sample().check("gpu-1"), Ok(()));
        let refused =
            |settings: KubernetesSettings, name: &str| settings.check(name).expect_err("it is refused").to_string();
        for name in ["", "Gpu", "a_b", "-a", "a-", "a.b", &"a".repeat(33)] {
            assert!(refused(sample(), name).starts_with("the pool's name"), "{name}");
        }
        let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        for (settings, option) in [
            (KubernetesSettings { image: String::new(), ..sample() }, "--image"),
            (KubernetesSettings { image: "a b".to_owned(), ..sample() }, "--image"),
            (KubernetesSettings { namespace: "A".to_owned(), ..sample() }, "--namespace"),
            (KubernetesSettings { time_seconds: 59, ..sample() }, "--time"),
            (KubernetesSettings { min: 5, ..sample() }, "--min"),
            (KubernetesSettings { gpu_resource: String::new(), ..sample() }, "--gpu-resource"),
            (KubernetesSettings { memory: "-1".to_owned(), ..sample() }, "--memory"),
            (KubernetesSettings { grace_seconds: 0, ..sample() }, "--grace"),
            (KubernetesSettings { dial: "https://me@host".to_owned(), ..sample() }, "--dial"),
            (KubernetesSettings { labels: labels("windtunnel/pool", "x"), ..sample() }, "--label"),
            (KubernetesSettings { labels: labels("a", "b c"), ..sample() }, "--label"),
            (KubernetesSettings { pod_spec: "[]".to_owned(), ..sample() }, "--pod-spec"),
        ] {
            let said = refused(settings, "gpu");
            assert!(said.starts_with(option), "{said} is not of {option}");
        }
        let queue = KubernetesSettings { labels: labels("kueue.x-k8s.io/queue-name", "research"), ..sample() };
        assert_eq!(queue.check("gpu"), Ok(()));
    }
}
