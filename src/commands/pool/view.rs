//! Pools, as text and JSON.

use proto::v1;
use serde::Serialize;
use vocabulary::text::{counted, wrapped};

use crate::views::output::{View, columns};

const KUBERNETES: &str = "kubernetes";

/// A worker has usually said hello by then.
const SILENT_SECONDS: u64 = 120;

#[derive(Serialize)]
pub(super) struct Pools {
    pub(super) pools: Vec<PoolView>,
}

#[derive(Debug, Serialize)]
pub(super) struct PoolView {
    pub(super) name: String,
    kind: &'static str,
    mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    time_seconds: u64,
    min: u32,
    max: u32,
    folder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sbatch: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Of a pool of Kubernetes jobs; empty where it is the coordinator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Stages and evaluations that could start now if there were workers for them.
    ready: u64,
    /// Why no allocation is asked for; absent while one is.
    #[serde(skip_serializing_if = "String::is_empty")]
    no_allocation_because: String,
    allocations: Vec<Allocation>,
    avoided_nodes: Vec<Avoided>,
}

#[derive(Debug, Serialize)]
struct Allocation {
    allocation: String,
    job: Option<u64>,
    state: String,
    reason: String,
    node: String,
    age_seconds: u64,
    left_seconds: Option<u64>,
    workers: Vec<Worker>,
}

#[derive(Debug, Serialize)]
struct Worker {
    name: String,
    is_busy: bool,
}

#[derive(Debug, Serialize)]
struct Avoided {
    node: String,
    seconds: u64,
}

impl From<v1::Pool> for PoolView {
    fn from(pool: v1::Pool) -> Self {
        let v1::Pool { name, mode, reason, slurm, kubernetes, folder, ready, idle, allocations, avoided } = pool;
        let kind = if kubernetes.is_some() { KUBERNETES } else { "slurm" };
        let sbatch = slurm.as_ref().map(|slurm| slurm.sbatch_args.clone());
        let image = kubernetes.as_ref().map(|kubernetes| kubernetes.image.clone());
        let namespace = kubernetes.as_ref().map(|kubernetes| kubernetes.namespace.clone());
        let of_slurm = slurm.map(|slurm| (slurm.time_seconds, slurm.min, slurm.max));
        let of_kubernetes = kubernetes.map(|kubernetes| (kubernetes.time_seconds, kubernetes.min, kubernetes.max));
        let (time_seconds, min, max) = of_slurm.or(of_kubernetes).unwrap_or_default();
        let allocation = |known: v1::Allocation| {
            let v1::Allocation { allocation, job, state, reason, node, age_seconds, left_seconds, workers } = known;
            let worker = |v1::AllocationWorker { name, is_busy }| Worker { name, is_busy };
            let workers = workers.into_iter().map(worker).collect();
            Allocation { allocation, job, state, reason, node, age_seconds, left_seconds, workers }
        };
        let avoided = avoided.into_iter().map(|v1::AvoidedNode { node, seconds }| Avoided { node, seconds });
        Self {
            name,
            kind,
            mode,
            reason,
            time_seconds,
            min,
            max,
            folder,
            sbatch,
            image,
            namespace,
            ready,
            no_allocation_because: idle,
            allocations: allocations.into_iter().map(allocation).collect(),
            avoided_nodes: avoided.collect(),
        }
    }
}

impl Allocation {
    /// Whether a worker of it should have been heard by now.
    fn is_silent(&self) -> bool {
        self.state == "running" && self.workers.is_empty() && self.age_seconds >= SILENT_SECONDS
    }
}

impl Allocation {
    /// What tells it from the pool's others.
    fn short(&self) -> String {
        self.allocation.chars().skip(16).take(8).collect()
    }
}

/// How logs of jobs in a namespace are shown; its last word takes the job.
fn kubectl(namespace: &str) -> String {
    let namespace = if namespace.is_empty() { String::new() } else { format!(" --namespace {namespace}") };
    format!("kubectl logs{namespace}")
}

impl PoolView {
    fn named(&self, known: &Allocation) -> String {
        match known.job {
            Some(job) if self.kind != KUBERNETES => format!("job {job}"),
            _ => format!("job {}", known.short()),
        }
    }

    /// Where an allocation's log is.
    fn log(&self, known: &Allocation) -> String {
        match &self.namespace {
            None => format!("logs/{}.log", known.allocation),
            Some(namespace) => format!("`{} job/windtunnel-{}`", kubectl(namespace), known.allocation),
        }
    }

    fn count(&self, state: &str) -> usize {
        self.allocations.iter().filter(|known| known.state == state).count()
    }
}

impl View for Pools {
    fn table(&self) -> String {
        if self.pools.is_empty() {
            return "no pools: add one with `windtunnel pool add`\n".to_owned();
        }
        let row = |pool: &PoolView| {
            let busy = pool.allocations.iter().flat_map(|known| &known.workers).filter(|worker| worker.is_busy).count();
            let [pending, running] = ["pending", "running"].map(|state| pool.count(state).to_string());
            [
                pool.name.clone(),
                pool.mode.clone(),
                pool.ready.to_string(),
                pending,
                running,
                busy.to_string(),
                pool.max.to_string(),
            ]
        };
        let rows: Vec<_> = self.pools.iter().map(row).collect();
        columns(["pool", "mode", " ready", " pending", " running", " busy", " max"], &rows)
    }
}

impl View for PoolView {
    fn table(&self) -> String {
        let Self {
            name, mode, reason, min, max, folder, ready, no_allocation_because, allocations, avoided_nodes, ..
        } = self;
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let jobs = counted(u64::from(*max), "job");
        let bounds = if *min > 0 { format!("{min} to {jobs}") } else { format!("up to {jobs}") };
        let limit = lasting(self.time_seconds);
        let mode = if mode == "removing" { "being removed" } else { mode.as_str() };
        let mut text = wrapped(&format!("pool {name} is {mode}{because}"), 2);
        text.push_str(&format!("{bounds} of {limit}; {} ready without a worker\n", counted(*ready, "stage")));
        if !no_allocation_because.is_empty() {
            text.push_str(&wrapped(&format!("no job is requested: {no_allocation_because}"), 2));
        }
        for Avoided { node, seconds } in avoided_nodes {
            text.push_str(&format!("node {node} is avoided for {}\n", lasting(*seconds)));
        }
        for known in allocations.iter().filter(|known| known.is_silent()) {
            let age = lasting(known.age_seconds);
            let silent = format!("{} has run for {age}, and no worker of it is connected", self.named(known));
            text.push_str(&wrapped(&format!("{silent}: see {}", self.log(known)), 2));
        }
        for (known, reason) in allocations.iter().filter_map(|known| Some((known, known.reason.split_once(": ")?))) {
            text.push_str(&wrapped(&format!("{} waits: {}", self.named(known), reason.1), 2));
        }
        match &self.namespace {
            None => text.push_str(&wrapped(&format!("logs and token: {folder}"), 2)),
            Some(namespace) => {
                let kubectl = kubectl(namespace);
                text.push_str(&wrapped(&format!("logs: {kubectl} --selector windtunnel/pool={name} --prefix"), 2));
            }
        }
        if !allocations.is_empty() {
            let row = |known: &Allocation| {
                let job = known.job.map_or_else(|| "-".to_owned(), |job| job.to_string());
                // Jobs of Kubernetes have no numbers.
                let job = if self.kind == KUBERNETES { known.short() } else { job };
                let reason = known.reason.split(": ").next().unwrap_or_default();
                let place = if known.node.is_empty() { reason.to_owned() } else { known.node.clone() };
                let left = known.left_seconds.map(lasting).unwrap_or_default();
                let busy = known.workers.iter().filter(|worker| worker.is_busy).count();
                let workers = match known.workers.len() {
                    0 => String::new(),
                    all => format!("{busy} of {all} busy"),
                };
                let allocation = known.short();
                [job, known.state.clone(), place, lasting(known.age_seconds), left, workers, allocation]
            };
            let rows: Vec<_> = allocations.iter().map(row).collect();
            text.push('\n');
            text.push_str(&columns([" job", "state", "node", " age", " left", "workers", "allocation"], &rows));
        }
        text
    }
}

fn lasting(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> PoolView {
        let worker = v1::AllocationWorker { name: "n1".to_owned(), is_busy: true };
        let running = v1::Allocation {
            allocation: "0011223344556677aabbccddeeff0011".to_owned(),
            job: Some(12),
            state: "running".to_owned(),
            node: "n1".to_owned(),
            age_seconds: 4000,
            left_seconds: Some(90),
            workers: vec![worker],
            ..v1::Allocation::default()
        };
        let pending = v1::Allocation {
            allocation: "0011223344556677bbbbccddeeff0011".to_owned(),
            job: Some(13),
            state: "pending".to_owned(),
            reason: "Resources".to_owned(),
            age_seconds: 5,
            ..v1::Allocation::default()
        };
        PoolView::from(v1::Pool {
            name: "gpu".to_owned(),
            mode: "active".to_owned(),
            slurm: Some(v1::SlurmPool { time_seconds: 28_800, max: 16, ..v1::SlurmPool::default() }),
            folder: "/shared/pools/gpu".to_owned(),
            ready: 1,
            idle: "1 in the queue, as many as --backlog allows".to_owned(),
            allocations: vec![running, pending],
            avoided: vec![v1::AvoidedNode { node: "n7".to_owned(), seconds: 1800 }],
            ..v1::Pool::default()
        })
    }

    #[test]
    fn a_pool_shows_its_allocations_and_why_there_are_not_more() {
        let text = pool().table();
        let expected = "pool gpu is active\n\
                        up to 16 jobs of 8 h; 1 stage ready without a worker\n\
                        no job is requested: 1 in the queue, as many as --backlog allows\n\
                        node n7 is avoided for 30 min\n\
                        logs and token: /shared/pools/gpu\n\
                        \n\
                        job  state    node          age  left  workers      allocation\n \
                        12  running  n1         66 min  90 s  1 of 1 busy  aabbccdd\n \
                        13  pending  Resources     5 s                     bbbbccdd\n";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_job_whose_worker_does_not_come_is_named_with_its_log() {
        let mut pool = pool();
        pool.allocations[0].workers.clear();
        let text = pool.table();
        assert!(text.contains("job 12 has run for 66 min, and no worker of it is connected"), "{text}");
        assert!(text.contains("logs/0011223344556677aabbccddeeff0011.log"), "{text}");
        pool.allocations[0].age_seconds = 30;
        assert!(!pool.table().contains("connected"));
    }

    #[test]
    fn what_kubernetes_says_of_a_job_that_waits_is_shown_whole() {
        let kubernetes = v1::KubernetesPool {
            image: "i".to_owned(),
            namespace: "training".to_owned(),
            time_seconds: 28_800,
            max: 16,
            ..v1::KubernetesPool::default()
        };
        let pending = v1::Allocation {
            allocation: "0011223344556677bbbbccddeeff0011".to_owned(),
            job: Some(13),
            state: "pending".to_owned(),
            reason: "ImagePullBackOff: Back-off pulling image \"i\"".to_owned(),
            age_seconds: 5,
            ..v1::Allocation::default()
        };
        let (name, mode) = ("gpu".to_owned(), "active".to_owned());
        let allocations = vec![pending];
        let pool =
            PoolView::from(v1::Pool { name, mode, kubernetes: Some(kubernetes), allocations, ..v1::Pool::default() });
        let expected = "pool gpu is active\n\
                        up to 16 jobs of 8 h; 0 stages ready without a worker\n\
                        job bbbbccdd waits: Back-off pulling image \"i\"\n\
                        logs: kubectl logs --namespace training --selector windtunnel/pool=gpu --prefix\n\
                        \n     job  state    node              age  left  workers  allocation\n\
                        bbbbccdd  pending  ImagePullBackOff  5 s                 bbbbccdd\n";
        assert_eq!(pool.table(), expected);
    }

    #[test]
    fn pools_are_listed() {
        let listed = Pools { pools: vec![pool()] }.table();
        assert_eq!(
            listed,
            "pool  mode    ready  pending  running  busy  max\ngpu   active      1        1        1     1   16\n"
        );
        assert!(Pools { pools: Vec::new() }.table().starts_with("no pools"));
    }
}
