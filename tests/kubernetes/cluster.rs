//! The cluster behind the server: objects, the controller of jobs, and two nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::api::NAMESPACE;
use crate::kubelet::Kubelet;

pub(crate) const NODES: [&str; 2] = ["node-1", "node-2"];

/// What was asked, or why not: a status and its message.
pub(crate) type Done = Result<Value, (u16, String)>;

/// Objects by their kind, such as `jobs`, and their name.
pub(crate) struct Cluster {
    objects: BTreeMap<(String, String), Value>,
    version: u64,
    kubelet: Kubelet,
    /// Jobs that were ever created.
    pub(crate) created: Vec<String>,
    /// Objects on a page of a list at most.
    pub(crate) page: usize,
    /// Pods find no node.
    pub(crate) is_full: bool,
    /// No image can be pulled.
    pub(crate) has_no_image: bool,
    /// Containers on these nodes end at once.
    pub(crate) broken: BTreeSet<String>,
}

impl Cluster {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            objects: BTreeMap::new(),
            version: 0,
            kubelet: Kubelet::new(folder),
            created: Vec::new(),
            page: usize::MAX,
            is_full: false,
            has_no_image: false,
            broken: BTreeSet::new(),
        }
    }

    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        self.objects.iter().filter(|((known, _), _)| known == plural).map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn get(&self, plural: &str, name: &str) -> Done {
        let found = self.objects.get(&(plural.to_owned(), name.to_owned()));
        found.cloned().ok_or_else(|| (404, format!("{plural} \"{name}\" not found")))
    }

    pub(crate) fn list(&self, plural: &str, query: &BTreeMap<String, String>) -> Done {
        let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
        let found: Vec<Value> = self.all(plural).into_iter().filter(|value| is_selected(value, selector)).collect();
        let from: usize = query.get("continue").and_then(|token| token.parse().ok()).unwrap_or_default();
        let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let to = from.saturating_add(limit.min(self.page)).min(found.len());
        let next = if to < found.len() { to.to_string() } else { String::new() };
        let items: Vec<&Value> = found.get(from..to).unwrap_or_default().iter().collect();
        Ok(json!({
            "kind": "List", "apiVersion": "v1", "items": items,
            "metadata": {"resourceVersion": self.version.to_string(), "continue": next},
        }))
    }

    pub(crate) fn create(&mut self, plural: &str, mut value: Value, is_dry: bool) -> Done {
        let name =
            value["metadata"]["name"].as_str().ok_or((422, "metadata.name: Required value".to_owned()))?.to_owned();
        if self.get(plural, &name).is_ok() {
            return Err((409, format!("{plural} \"{name}\" already exists")));
        }
        if let Some(namespace) = value["metadata"]["namespace"].as_str().filter(|namespace| *namespace != NAMESPACE) {
            return Err((400, format!("the namespace of the object ({namespace}) is not that of the request")));
        }
        let version = self.next();
        value["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.version));
        value["metadata"]["resourceVersion"] = json!(version);
        value["metadata"]["creationTimestamp"] = json!(now());
        if !is_dry {
            self.objects.insert((plural.to_owned(), name.clone()), value.clone());
            if plural == "jobs" {
                self.created.push(name);
            }
        }
        Ok(value)
    }

    pub(crate) fn apply(&mut self, plural: &str, name: &str, value: Value, is_dry: bool) -> Done {
        let Ok(known) = self.get(plural, name) else { return self.create(plural, value, is_dry) };
        let mut value = value;
        for key in ["uid", "creationTimestamp"] {
            value["metadata"][key] = known["metadata"][key].clone();
        }
        value["metadata"]["resourceVersion"] = json!(self.next());
        if !is_dry {
            self.objects.insert((plural.to_owned(), name.to_owned()), value.clone());
        }
        Ok(value)
    }

    /// Deletes an object with everything that belongs to it, in the background.
    pub(crate) fn delete(&mut self, plural: &str, name: &str, options: &Value) -> Done {
        let known = self.get(plural, name)?;
        let wanted = &options["preconditions"]["resourceVersion"];
        if !wanted.is_null() && *wanted != known["metadata"]["resourceVersion"] {
            return Err((409, format!("the resourceVersion of {plural} \"{name}\" is another")));
        }
        if options["propagationPolicy"] == "Background" {
            let uid = known["metadata"]["uid"].clone();
            let is_owned = |value: &Value| {
                value["metadata"]["ownerReferences"]
                    .as_array()
                    .is_some_and(|owners| owners.iter().any(|o| o["uid"] == uid))
            };
            let owned: Vec<_> =
                self.objects.iter().filter(|(_, value)| is_owned(value)).map(|(key, _)| key.clone()).collect();
            for (plural, name) in owned {
                self.delete(&plural, &name, &json!({"propagationPolicy": "Background"}))?;
            }
        }
        self.objects.remove(&(plural.to_owned(), name.to_owned()));
        if plural == "pods" {
            self.kubelet.end(name);
        }
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
    }

    /// Changes an object as its controller does.
    fn change(&mut self, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let version = self.next();
        if let Some(value) = self.objects.get_mut(&(plural.to_owned(), name.to_owned())) {
            change(value);
            value["metadata"]["resourceVersion"] = json!(version);
        }
    }

    /// The pod and the node of a job's worker that runs.
    pub(crate) fn running(&self) -> Vec<(String, String)> {
        let running = self.all("pods").into_iter().filter(|pod| pod["status"]["phase"] == "Running");
        running.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]))).collect()
    }

    /// Jobs that are not over.
    pub(crate) fn open_jobs(&self) -> usize {
        self.all("jobs").iter().filter(|job| !is_over(job)).count()
    }

    /// The node is needed for others: the worker is told to go, and its pod is replaced.
    pub(crate) fn evict(&mut self, pod: &str) {
        let condition = json!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
        self.change("pods", pod, |pod| pod["status"]["conditions"] = condition);
        self.kubelet.tell(pod);
    }

    /// Somebody deletes the job of a pod.
    pub(crate) fn delete_job_of(&mut self, pod: &str) {
        let pod = self.get("pods", pod).expect("it is there");
        let job = text(&pod["metadata"]["ownerReferences"][0]["name"]);
        self.delete("jobs", &job, &json!({"propagationPolicy": "Background"})).expect("it is there");
    }

    /// What the controllers and the kubelets do.
    pub(crate) fn tick(&mut self) {
        for pod in self.all("pods") {
            self.tend(&pod);
        }
        for job in self.all("jobs").iter().filter(|job| !is_over(job)) {
            self.control(job);
        }
    }

    fn control(&mut self, job: &Value) {
        let name = text(&job["metadata"]["name"]);
        let is_own = |pod: &Value| pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"];
        let pods: Vec<Value> = self.all("pods").into_iter().filter(is_own).collect();
        let is_in = |pod: &&Value, phase: &str| pod["status"]["phase"] == phase;
        let is_disrupted = |pod: &&Value| pod["status"]["conditions"][0]["type"] == "DisruptionTarget";
        let end = if pods.iter().any(|pod| is_in(&pod, "Succeeded")) {
            Some(json!({"type": "Complete", "status": "True"}))
        } else if pods.iter().any(|pod| is_in(&pod, "Failed") && !is_disrupted(&pod)) {
            Some(json!({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}))
        } else {
            None
        };
        if let Some(end) = end {
            return self.change("jobs", &name, |job| job["status"]["conditions"] = json!([end]));
        }
        if pods.iter().all(|pod| is_in(&pod, "Failed")) {
            let mut pod = job["spec"]["template"].clone();
            pod["apiVersion"] = json!("v1");
            pod["kind"] = json!("Pod");
            pod["metadata"]["name"] = json!(format!("{name}-{}", pods.len()));
            let (uid, owner) = (&job["metadata"]["uid"], json!("Job"));
            let owner =
                json!([{"apiVersion": "batch/v1", "kind": owner, "name": name, "uid": uid, "controller": true}]);
            pod["metadata"]["ownerReferences"] = owner;
            pod["status"] = json!({"phase": "Pending"});
            self.create("pods", pod, false).expect("a new name");
        }
    }

    fn tend(&mut self, pod: &Value) {
        let name = text(&pod["metadata"]["name"]);
        match pod["status"]["phase"].as_str() {
            Some("Pending") => self.start(&name, pod),
            Some("Running") => {
                let Some((code, said)) = self.kubelet.ended(&name) else { return };
                let started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
                let mut ended = json!({"exitCode": code, "startedAt": started, "finishedAt": now()});
                if code != 0 {
                    ended["message"] = json!(said);
                }
                let phase = if code == 0 { "Succeeded" } else { "Failed" };
                self.change("pods", &name, |pod| {
                    pod["status"]["phase"] = json!(phase);
                    pod["status"]["containerStatuses"] = container(json!({ "terminated": ended }));
                });
            }
            _ => {}
        }
    }

    fn start(&mut self, name: &str, pod: &Value) {
        let avoided = avoided(pod);
        let node = NODES.into_iter().find(|node| !avoided.contains(*node)).filter(|_| !self.is_full);
        let Some(node) = node else {
            let message = match self.is_full {
                true => "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
                false => "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            };
            let unscheduled = json!([{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            }]);
            return self.change("pods", name, |pod| pod["status"]["conditions"] = unscheduled);
        };
        if self.has_no_image {
            let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
            return self.change("pods", name, |pod| {
                pod["spec"]["nodeName"] = json!(node);
                pod["status"]["conditions"] = json!([]);
                pod["status"]["containerStatuses"] = container(waiting);
            });
        }
        let is_broken = self.broken.contains(node);
        let (config_maps, secrets) = (self.all("configmaps"), self.all("secrets"));
        self.kubelet.start(name, pod, node, &config_maps, &secrets, is_broken);
        self.change("pods", name, |pod| {
            pod["spec"]["nodeName"] = json!(node);
            pod["status"] = json!({"phase": "Running", "startTime": now()});
            pod["status"]["containerStatuses"] = container(json!({"running": {"startedAt": now()}}));
        });
    }

    pub(crate) fn end_all(&mut self) {
        self.kubelet.end_all();
    }
}

fn container(state: Value) -> Value {
    let status =
        json!({"name": "worker", "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state});
    json!([status])
}

fn is_over(job: &Value) -> bool {
    job["status"]["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty())
}

/// The nodes that a pod keeps away from.
pub(crate) fn avoided(pod: &Value) -> BTreeSet<String> {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let fields = required["nodeSelectorTerms"][0]["matchFields"].as_array().cloned().unwrap_or_default();
    let away = fields.iter().filter(|field| field["key"] == "metadata.name" && field["operator"] == "NotIn");
    away.map(|field| text(&field["values"][0])).collect()
}

/// Whether an object has labels as `KEY=VALUE` or `KEY in (A,B)` says.
fn is_selected(value: &Value, selector: &str) -> bool {
    let label = |key: &str| value["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned();
    if let Some((key, values)) = selector.split_once(" in ") {
        return values.trim_matches(['(', ')']).split(',').any(|value| value == label(key));
    }
    selector.split_once('=').is_none_or(|(key, value)| label(key) == value)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The time, as Kubernetes writes it.
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years of 1 March to the end of February, in eras of 400 years.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (year, hour, minute) = (year + 400 * era, second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}
