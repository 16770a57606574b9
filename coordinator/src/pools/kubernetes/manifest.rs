//! The objects of a pool, as Kubernetes takes them.

use k8s_openapi::ByteString;
use scheduler::pool::batch::AllocationId;
use serde_json::{Map, Value, json};

use super::extra::{self, OWN_FOLDERS, OWN_VOLUMES};
use super::settings::KubernetesSettings;
use crate::pools::batch::{ADDRESS, CA, InvalidSettings, TOKEN};

/// How the keys of the pool's own labels begin.
pub(super) const OWN: &str = "windtunnel/";
pub(super) const POOL: &str = "windtunnel/pool";
pub(super) const ALLOCATION: &str = "windtunnel/allocation";
/// Annotation of a job that keeps away from nodes: which ones.
pub(super) const AVOIDS: &str = "windtunnel/avoids";

/// How long the kubelet waits beyond the worker's own grace.
const BEYOND_GRACE: u64 = 15;

/// How much longer than its worker a pod may live: its image is pulled within its time.
const BEYOND_TIME: u64 = 900;

/// How long a job that is over stays in the list, with its pods and their logs.
const KEPT: u64 = 3600;

/// The group that the files of the pool belong to in its pods.
const GROUP: u64 = 10_001;

/// What the objects of a pool are made of.
pub(super) struct Manifest<'a> {
    pub(super) pool: &'a str,
    pub(super) mark: [u8; 8],
    pub(super) settings: &'a KubernetesSettings,
    /// Empty until it is known: the server knows it then.
    pub(super) namespace: &'a str,
}

/// The name of an allocation's job.
pub(super) fn job_name(allocation: AllocationId) -> String {
    format!("windtunnel-{allocation}")
}

impl Manifest<'_> {
    /// The name of the pool's ConfigMap and of its Secret. Another pool of the same name has another mark.
    pub(super) fn name(&self) -> String {
        format!("windtunnel-pool-{:016x}", u64::from_be_bytes(self.mark))
    }

    /// What jobs read: where the coordinator is dialled, and what verifies it. Everything else of the pool belongs to it.
    pub(super) fn config_map(&self, address: &str) -> Value {
        let mut data = json!({ ADDRESS: address });
        if !self.settings.ca.is_empty() {
            data[CA] = json!(self.settings.ca);
        }
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(&self.name(), None), "data": data})
    }

    /// The workers' token.
    pub(super) fn secret(&self, token: &str, owner: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(&self.name(), Some(owner)),
            "type": "Opaque",
            // Not `stringData`, whose owner is not kept track of where objects are applied.
            "data": { TOKEN: ByteString(token.as_bytes().to_vec()) },
        })
    }

    /// The job of an allocation. `owner` is the identity of the pool's ConfigMap, `exclude` are nodes to keep away from.
    ///
    /// # Errors
    /// If the part of the pods' spec that somebody added contradicts what the pool sets.
    pub(super) fn job(
        &self,
        allocation: AllocationId,
        owner: &str,
        exclude: &[String],
    ) -> Result<Value, InvalidSettings> {
        let mut metadata = self.metadata(&job_name(allocation), Some(owner));
        let mut labels = metadata["labels"].take();
        labels[ALLOCATION] = json!(allocation.to_string());
        for (key, value) in &self.settings.labels {
            labels[key] = json!(value);
        }
        metadata["labels"] = labels.clone();
        if !exclude.is_empty() {
            metadata["annotations"] = json!({ AVOIDS: exclude.join(",") });
        }
        Ok(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "backoffLimit": 0,
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": {
                    "rules": [{
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }],
                },
                "ttlSecondsAfterFinished": KEPT,
                "template": {"metadata": {"labels": labels}, "spec": self.pod(allocation, exclude)?},
            },
        }))
    }

    fn metadata(&self, name: &str, owner: Option<&str>) -> Value {
        let mut metadata = json!({
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "windtunnel-worker",
                "app.kubernetes.io/managed-by": "windtunnel",
                POOL: self.pool,
            },
        });
        if !self.namespace.is_empty() {
            metadata["namespace"] = json!(self.namespace);
        }
        if let Some(uid) = owner {
            let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": self.name(), "uid": uid});
            metadata["ownerReferences"] = json!([owner]);
        }
        metadata
    }

    fn pod(&self, allocation: AllocationId, exclude: &[String]) -> Result<Value, InvalidSettings> {
        let Self { settings, .. } = self;
        let mut part = extra::parse(&settings.pod_spec)?;
        let of_container = part.remove("containers").and_then(|list| list.as_array()?.first().cloned());
        let mut container = self.container(allocation);
        extra::merge(&mut container, of_container.unwrap_or_else(|| json!({})), "containers")?;
        let [files, scratch] = ["pool", "scratch"].map(|name| format!("{OWN_VOLUMES}{name}"));
        let name = self.name();
        let sources = json!([{"configMap": {"name": name}}, {"secret": {"name": name}}]);
        let mut pod = json!({
            "restartPolicy": "Never",
            "activeDeadlineSeconds": settings.time_seconds + BEYOND_TIME,
            "terminationGracePeriodSeconds": settings.grace_seconds + BEYOND_GRACE,
            "automountServiceAccountToken": false,
            // The variables of services would be taken for this program's.
            "enableServiceLinks": false,
            "containers": [container],
            "volumes": [
                {"name": files, "projected": {"sources": sources, "defaultMode": 0o440}},
                {"name": scratch, "emptyDir": {}},
            ],
        });
        if part.get("securityContext").and_then(|context| context.get("fsGroup")).is_none() {
            // Whoever the image runs as reads the pool's files.
            pod["securityContext"] = json!({"fsGroup": GROUP});
        }
        extra::merge(&mut pod, Value::Object(part), "")?;
        keep_away(&mut pod, exclude);
        Ok(pod)
    }

    fn container(&self, allocation: AllocationId) -> Value {
        let Self { pool, settings, .. } = self;
        let mut limits = Map::new();
        let mut requests = Map::new();
        if settings.gpus_per_worker > 0 {
            limits.insert(settings.gpu_resource.clone(), json!(settings.gpus_per_worker.to_string()));
        }
        if !settings.cpu.is_empty() {
            requests.insert("cpu".to_owned(), json!(settings.cpu));
        }
        if !settings.memory.is_empty() {
            requests.insert("memory".to_owned(), json!(settings.memory));
            limits.insert("memory".to_owned(), json!(settings.memory));
        }
        let mut container = json!({
            "name": "worker",
            "image": settings.image,
            "command": ["/bin/sh", "-c", self.script()],
            "env": [
                {"name": "WINDTUNNEL_POOL", "value": pool},
                {"name": "WINDTUNNEL_ALLOCATION", "value": allocation.to_string()},
                {"name": "WINDTUNNEL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            // What a worker said last is in the pod's status then, and nobody needs the right to read logs.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"name": format!("{OWN_VOLUMES}pool"), "mountPath": format!("{OWN_FOLDERS}/pool"), "readOnly": true},
                {"name": format!("{OWN_VOLUMES}scratch"), "mountPath": format!("{OWN_FOLDERS}/scratch")},
            ],
        });
        let resources = [("limits", limits), ("requests", requests)];
        for (key, quantities) in resources.into_iter().filter(|(_, quantities)| !quantities.is_empty()) {
            container["resources"][key] = Value::Object(quantities);
        }
        container
    }

    /// What a container runs, for sh. The worker takes the shell's place, so that the kubelet's signals reach it. It accepts only a
    /// token that nobody else reads, and files of a volume are their group's.
    fn script(&self) -> String {
        let Self { settings, .. } = self;
        let (pool, scratch) = (format!("{OWN_FOLDERS}/pool"), format!("{OWN_FOLDERS}/scratch"));
        let program = quoted(&settings.program);
        let ca = if settings.ca.is_empty() { String::new() } else { format!(" --tls-ca {pool}/{CA}") };
        let device = match settings.device.as_str() {
            "" => String::new(),
            device => format!(" --device {}", quoted(device)),
        };
        // Of a pool with a minimum the coordinator alone decides who goes.
        let idle = match settings.min {
            0 => format!(" --idle-timeout {}", settings.idle_seconds),
            _ => String::new(),
        };
        let (time, grace) = (settings.time_seconds, settings.grace_seconds);
        format!(
            "set -eu\n\
             umask 077\n\
             cat {pool}/{TOKEN} > {scratch}/{TOKEN}\n\
             coordinator=$(cat {pool}/{ADDRESS})\n\
             until=$(( $(date +%s) + {time} ))\n\
             exec {program} --data-dir {scratch}/data --log info worker --coordinator \"$coordinator\" \\\n  \
             --token-file {scratch}/{TOKEN}{ca}{device} --grace {grace} --until \"$until\"{idle}\n"
        )
    }
}

/// Keeps a pod away from nodes. The terms of a selector are alternatives, so each of them has to do so.
fn keep_away(pod: &mut Value, nodes: &[String]) {
    if nodes.is_empty() {
        return;
    }
    let away = |node: &String| json!({"key": "metadata.name", "operator": "NotIn", "values": [node]});
    let away: Vec<Value> = nodes.iter().map(away).collect();
    let required = &mut pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = &mut required["nodeSelectorTerms"];
    match terms.as_array_mut().filter(|terms| !terms.is_empty()) {
        None => *terms = json!([{ "matchFields": away }]),
        Some(terms) => {
            for term in terms.iter_mut().filter(|term| term.is_object()) {
                match term["matchFields"].as_array_mut() {
                    Some(fields) => fields.extend(away.iter().cloned()),
                    None => term["matchFields"] = json!(away),
                }
            }
        }
    }
}

/// A word for sh.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::sample;
    use super::*;

    fn job(settings: &KubernetesSettings, exclude: &[&str]) -> Result<Value, InvalidSettings> {
        let manifest = Manifest { pool: "gpu", mark: [0xab; 8], settings, namespace: "training" };
        let exclude: Vec<String> = exclude.iter().map(|&node| node.to_owned()).collect();
        manifest.job(AllocationId([0xab; 16]), "uid-1", &exclude)
    }

    #[test]
    fn a_job_belongs_to_the_pool_and_asks_for_what_was_said() {
        let job = job(&sample(), &[]).expect("it is sound");
        assert_eq!(job["metadata"]["name"], "windtunnel-abababababababababababababababab");
        assert_eq!(job["metadata"]["labels"][ALLOCATION], "abababababababababababababababab");
        assert_eq!(job["metadata"]["ownerReferences"][0]["kind"], "ConfigMap");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], 60);
        let container = &pod["containers"][0];
        assert_eq!(container["resources"]["limits"], json!({"nvidia.com/gpu": "1", "memory": "32Gi"}));
        assert_eq!(container["resources"]["requests"], json!({"cpu": "8", "memory": "32Gi"}));
        let script = container["command"][2].as_str().expect("a text");
        assert!(script.contains("exec 'windtunnel' ") && script.contains("--grace 45"), "{script}");
        assert!(pod.get("affinity").is_none());
    }

    #[test]
    fn a_part_of_the_spec_is_added_and_every_alternative_keeps_away_from_bad_nodes() {
        let pod_spec = json!({
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
                {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n0"]}]},
            ]}}},
            "containers": [{"env": [{"name": "RUST_BACKTRACE", "value": "1"}]}],
        });
        let settings = KubernetesSettings { pod_spec: pod_spec.to_string(), ..sample() };
        let job = job(&settings, &["n1", "n2"]).expect("it is sound");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["tolerations"][0]["key"], "nvidia.com/gpu");
        assert_eq!(pod["containers"][0]["env"][3]["name"], "RUST_BACKTRACE");
        let required = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let fields = |term: usize| required["nodeSelectorTerms"][term]["matchFields"].as_array().map(Vec::len);
        assert_eq!((fields(0), fields(1)), (Some(2), Some(3)));
    }

    #[test]
    fn a_contradiction_is_refused_by_name() {
        let pod_spec = json!({"containers": [{"resources": {"requests": {"cpu": "4"}}}]}).to_string();
        let error = job(&KubernetesSettings { pod_spec, ..sample() }, &[]).expect_err("--cpu says 8").to_string();
        assert!(error.contains("containers.resources.requests.cpu"), "{error}");
    }

    #[test]
    fn the_token_is_in_the_secret_alone() {
        let settings = sample();
        let manifest = Manifest { pool: "gpu", mark: [1; 8], settings: &settings, namespace: "" };
        assert_eq!(manifest.secret("hush", "uid-1")["data"][TOKEN], "aHVzaA==");
        let others = [manifest.config_map("http://a:1"), job(&settings, &[]).expect("it is sound")];
        assert!(others.iter().all(|other| !other.to_string().contains("aHVzaA")));
    }
}
