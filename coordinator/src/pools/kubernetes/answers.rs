//! What jobs and their pods say of allocations.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scheduler::pool::batch::{self, AllocationId, JobEnd, JobId, JobState};

use super::manifest::{ALLOCATION, AVOIDS};

/// The most that is kept of a reason and of a last word.
const LONGEST: usize = 300;

/// A worker that handed its work back, because it was told to go, ends with this code.
const HANDED_BACK: i32 = 75;

/// Why a pod ended that its node or its cluster ended.
const ENDED_BY_OTHERS: [&str; 9] = [
    "DeadlineExceeded",
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "Preempting",
    "Shutdown",
    "Terminated",
    "UnexpectedAdmissionError",
];

/// A job of a pool, and the last thing that its worker said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) job: batch::Job,
    pub(super) last_line: String,
}

/// The number that stands for an allocation's job: Kubernetes has none. It fits into what a number of JSON holds.
pub(super) fn number(allocation: AllocationId) -> JobId {
    let drawn: [u8; 8] = std::array::from_fn(|byte| allocation.0[8 + byte]);
    JobId(u64::from_be_bytes(drawn) >> 11)
}

/// The allocations among jobs, with what their pods say. `now` is in seconds since 1970.
pub(super) fn allocations(jobs: &[Job], pods: &[Pod], time_seconds: u64, now: i64) -> Vec<Known> {
    jobs.iter().filter_map(|job| known(job, pods, time_seconds, now)).collect()
}

fn known(job: &Job, pods: &[Pod], time_seconds: u64, now: i64) -> Option<Known> {
    let allocation: AllocationId = job.metadata.labels.as_ref()?.get(ALLOCATION)?.parse().ok()?;
    let is_own = |pod: &&Pod| {
        let owners = pod.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.kind == "Job" && Some(&owner.uid) == job.metadata.uid.as_ref())
    };
    // One that was evicted has a successor, which counts; the names of pods are drawn, so their times decide.
    let pod = pods.iter().filter(is_own).max_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref().map(seconds);
        (!is_over(pod), created)
    });
    let used = pod.and_then(|pod| since(pod, now)).unwrap_or_default();
    let (mut state, reason) = state(job, pod);
    if state == JobState::Pending && avoids_some(job) && is_locked_out(&reason) {
        state = JobState::Held;
    }
    let last_line = pod.map(last_line).filter(|line| !line.is_empty());
    let left = Duration::from_secs(time_seconds).saturating_sub(used);
    Some(Known {
        job: batch::Job {
            job: number(allocation),
            allocation,
            state,
            reason: in_short(&reason),
            node: pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()).filter(|node| !node.is_empty()),
            used,
            left: Some(left),
        },
        last_line: last_line.unwrap_or_else(|| in_short(&reason)),
    })
}

/// Whether a job keeps away from nodes on which others ended early.
fn avoids_some(job: &Job) -> bool {
    job.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(AVOIDS))
}

/// Whether the scheduler says of every node that the pod must not run there: nothing but the nodes that it avoids would do. It
/// says so in words alone, such as "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector".
fn is_locked_out(reason: &str) -> bool {
    let Some((_, rest)) = reason.split_once("0/") else { return false };
    let Some((all, rest)) = rest.split_once(" nodes are available: ") else { return false };
    let Some((before, _)) = rest.split_once(" node(s) didn't match Pod's node affinity") else { return false };
    before.rsplit(' ').next().is_some_and(|count| count == all)
}

fn state(job: &Job, pod: Option<&Pod>) -> (JobState, String) {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let holds = |name: &str| conditions.clone().any(|known| known.type_ == name && known.status == "True");
    if holds("Complete") {
        return (JobState::Ended(JobEnd::Completed), String::new());
    }
    if holds("Failed") {
        return (JobState::Ended(pod.map_or(JobEnd::Stopped, end_of)), String::new());
    }
    if job.metadata.deletion_timestamp.is_some() {
        return (JobState::Running, "Deleted".to_owned());
    }
    if let Some(pod) = pod {
        // One that is over, while its job is not yet or makes another one.
        return if is_over(pod) {
            (JobState::Pending, "Replaced".to_owned())
        } else if phase(pod) == "Running" {
            (JobState::Running, String::new())
        } else {
            (JobState::Pending, why_pending(pod))
        };
    }
    let is_suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
    let why = if is_suspended { "Suspended" } else { "NoPod: the job has no pod yet; its events say why" };
    (JobState::Pending, why.to_owned())
}

/// How a pod ended whose job failed.
fn end_of(pod: &Pod) -> JobEnd {
    let Some(status) = &pod.status else { return JobEnd::Stopped };
    let is_disrupted =
        |known: &k8s_openapi::api::core::v1::PodCondition| known.type_ == "DisruptionTarget" && known.status == "True";
    if status.conditions.iter().flatten().any(is_disrupted) {
        return JobEnd::Stopped;
    }
    if status.reason.as_deref().is_some_and(|reason| ENDED_BY_OTHERS.contains(&reason)) {
        return JobEnd::Stopped;
    }
    match worker(pod).and_then(|worker| worker.state.as_ref()?.terminated.as_ref()) {
        Some(ended) if ended.exit_code == HANDED_BACK => JobEnd::Stopped,
        Some(_) => JobEnd::Failed,
        // Whoever deleted it gave it no time to say.
        None if pod.metadata.deletion_timestamp.is_some() => JobEnd::Stopped,
        None => JobEnd::Failed,
    }
}

/// Why a pod does not run yet: its image, its node, or what the scheduler says.
fn why_pending(pod: &Pod) -> String {
    let waiting = worker(pod).and_then(|worker| worker.state.as_ref()?.waiting.as_ref());
    if let Some(waiting) = waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        if !reason.is_empty() && reason != "ContainerCreating" && reason != "PodInitializing" {
            return joined(reason, message);
        }
    }
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions.into_iter().find(|known| known.type_ == "PodScheduled" && known.status == "False");
    match unscheduled {
        Some(known) => {
            joined(known.reason.as_deref().unwrap_or("Unschedulable"), known.message.as_deref().unwrap_or_default())
        }
        None => "Starting".to_owned(),
    }
}

fn joined(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

/// What the worker said last, which the kubelet keeps if it failed.
fn last_line(pod: &Pod) -> String {
    let terminated = worker(pod).and_then(|worker| worker.state.as_ref()?.terminated.as_ref());
    let message = terminated.and_then(|ended| ended.message.as_deref()).unwrap_or_default();
    let line = message.lines().map(str::trim).rfind(|line| !line.is_empty());
    let status = pod.status.as_ref();
    let otherwise = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    in_short(line.unwrap_or(otherwise))
}

fn worker(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.iter().flatten().find(|status| status.name == "worker")
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// How long a pod's worker has run, or ran.
fn since(pod: &Pod, now: i64) -> Option<Duration> {
    let state = worker(pod)?.state.as_ref()?;
    let (from, to) = match (&state.running, &state.terminated) {
        (Some(running), _) => (running.started_at.as_ref().map(seconds)?, now),
        (None, Some(ended)) => {
            (ended.started_at.as_ref().map(seconds)?, ended.finished_at.as_ref().map_or(now, seconds))
        }
        (None, None) => return None,
    };
    // The server's clock may be ahead of ours.
    Some(Duration::from_secs(u64::try_from(to - from).unwrap_or_default()))
}

fn seconds(time: &Time) -> i64 {
    time.0.as_second()
}

fn in_short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "0001020304050607ffffffffffffffff";
    const NOW: i64 = 1_767_225_600 + 100;

    fn job(status: Value) -> Job {
        serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "j", "uid": "u1", "labels": {ALLOCATION: ID}},
            "status": status,
        }))
        .expect("a job")
    }

    fn pod(created: &str, status: Value) -> Pod {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "p", "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u1"}],
            },
            "spec": {"nodeName": "n1", "containers": []},
            "status": status,
        }))
        .expect("a pod")
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-01T00:01:00Z";

    fn container(state: Value) -> Value {
        json!([{"name": "worker", "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state}])
    }

    fn seen(job: &Job, pods: &[Pod]) -> Known {
        allocations(std::slice::from_ref(job), pods, 3600, NOW).pop().expect("it is of a pool")
    }

    #[test]
    fn a_job_waits_for_the_reason_of_its_pod() {
        assert_eq!(seen(&job(json!({})), &[]).job.state, JobState::Pending);
        let unscheduled = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        let said = seen(&job(json!({})), &[pod(EARLY, unscheduled)]).job;
        assert_eq!((said.state, said.reason.as_str()), (JobState::Pending, "Unschedulable: 0/3 nodes are available"));
        let waiting = container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off\npulling"}}));
        let said = seen(&job(json!({})), &[pod(EARLY, json!({"phase": "Pending", "containerStatuses": waiting}))]).job;
        assert_eq!(said.reason, "ImagePullBackOff: Back-off pulling");
    }

    #[test]
    fn a_job_that_avoids_every_node_is_held() {
        let unscheduled = |message: &str| {
            json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]})
        };
        let mut avoiding = job(json!({}));
        avoiding.metadata.annotations = Some([(AVOIDS.to_owned(), "n1".to_owned())].into());
        let all = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: none";
        let some = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector.";
        let of = |job: &Job, message: &str| seen(job, &[pod(EARLY, unscheduled(message))]).job.state;
        assert_eq!(of(&avoiding, all), JobState::Held);
        assert_eq!(of(&avoiding, some), JobState::Pending);
        assert_eq!(of(&avoiding, "0/2 nodes are available: 2 Insufficient cpu."), JobState::Pending);
        assert_eq!(of(&job(json!({})), all), JobState::Pending);
    }

    #[test]
    fn a_worker_that_runs_has_used_some_of_its_time() {
        let running = container(json!({"running": {"startedAt": LATE}}));
        let said = seen(&job(json!({})), &[pod(EARLY, json!({"phase": "Running", "containerStatuses": running}))]).job;
        assert_eq!((said.state, said.node.as_deref()), (JobState::Running, Some("n1")));
        assert_eq!((said.used, said.left), (Duration::from_secs(40), Some(Duration::from_secs(3560))));
    }

    #[test]
    fn the_successor_of_an_evicted_pod_counts() {
        let evicted = json!({"phase": "Failed", "reason": "Evicted"});
        let pods = [pod(LATE, evicted.clone()), pod(EARLY, json!({"phase": "Running"}))];
        assert_eq!(seen(&job(json!({})), &pods).job.state, JobState::Running);
        let said = seen(&job(json!({})), &[pod(LATE, evicted)]).job;
        assert_eq!((said.state, said.reason.as_str()), (JobState::Pending, "Replaced"));
    }

    #[test]
    fn it_is_told_who_ended_a_job() {
        let failed = job(json!({"conditions": [{"type": "Failed", "status": "True"}]}));
        let of = |status: Value| seen(&failed, &[pod(EARLY, status)]).job.state;
        let stopped = JobState::Ended(JobEnd::Stopped);
        assert_eq!(seen(&failed, &[]).job.state, stopped);
        for reason in ENDED_BY_OTHERS {
            assert_eq!(of(json!({"phase": "Failed", "reason": reason})), stopped, "{reason}");
        }
        let disrupted = json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]});
        assert_eq!(of(disrupted), stopped);
        let ended = |code: i32| {
            let state = json!({"terminated": {"exitCode": code, "startedAt": EARLY, "finishedAt": LATE, "message": "a\nno device\n"}});
            json!({"phase": "Failed", "containerStatuses": container(state)})
        };
        assert_eq!(of(ended(75)), stopped);
        assert_eq!(of(ended(78)), JobState::Ended(JobEnd::Failed));
        let said = seen(&failed, &[pod(EARLY, ended(137))]);
        assert_eq!((said.job.used, said.last_line.as_str()), (Duration::from_secs(60), "no device"));
        let completed = job(json!({"conditions": [{"type": "Complete", "status": "True"}]}));
        assert_eq!(seen(&completed, &[]).job.state, JobState::Ended(JobEnd::Completed));
    }

    #[test]
    fn jobs_of_others_are_passed_over_and_numbers_fit_into_json() {
        let mut other = job(json!({}));
        other.metadata.labels = None;
        assert_eq!(allocations(&[other], &[], 60, NOW), []);
        assert_eq!(number(ID.parse().expect("an allocation")), JobId((1 << 53) - 1));
    }
}
