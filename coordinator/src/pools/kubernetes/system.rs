//! Kubernetes as the system of a pool.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use dial::RENDEZVOUS_SCHEME;
use k8s_openapi::api::batch::v1::Job as KubernetesJob;
use k8s_openapi::api::core::v1::Pod;
use scheduler::pool::batch::{AllocationId, Job, JobId, JobState};
use vocabulary::text::one_line;

use super::answers::{self, Known};
use super::client::{Cluster, Kind, is_loopback};
use super::error::KubernetesError;
use super::manifest::{ALLOCATION, Manifest, POOL, job_name};
use super::settings::KubernetesSettings;
use crate::clock::unix_ms;
use crate::pools::batch::{BatchError, InvalidSettings, Purpose, Submission, System, Unanswered, Waits};

/// Placeholder UID for an object that does not exist yet.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Named as the refuser of a dry run.
const TEST: &str = "the Kubernetes server (dry run)";

/// Why a pool cannot have such jobs.
fn refused(by: &'static str, error: &KubernetesError) -> BatchError {
    match error {
        KubernetesError::NoAddress => InvalidSettings::Value {
            option: "--dial",
            accepted: "an address: pods cannot read the file in which this coordinator announces itself",
        }
        .into(),
        KubernetesError::Refused { .. } => BatchError::Refused { by, why: one_line(error) },
        _ => BatchError::Unanswered { why: one_line(error) },
    }
}

/// Where pods dial: at the pool's own address, or at the coordinator's.
fn dialled<'a>(own: &'a str, usual: &'a str) -> Result<&'a str, KubernetesError> {
    let dialled = if own.is_empty() { usual } else { own };
    if dialled.starts_with(RENDEZVOUS_SCHEME) {
        return Err(KubernetesError::NoAddress);
    }
    Ok(dialled)
}

/// A pool of Kubernetes jobs.
pub(in crate::pools) struct Kubernetes {
    settings: KubernetesSettings,
    purpose: Purpose,
    cluster: Cluster,
    /// What the workers of jobs in the list said last.
    last_lines: Mutex<BTreeMap<AllocationId, String>>,
}

impl Kubernetes {
    pub(in crate::pools) fn new(settings: KubernetesSettings, purpose: Purpose) -> Self {
        let cluster = Cluster::new(settings.context.clone(), purpose.grounds.options.kubernetes.patience);
        Self { settings, purpose, cluster, last_lines: Mutex::default() }
    }

    async fn namespace(&self) -> Result<String, KubernetesError> {
        match self.settings.namespace.as_str() {
            "" => self.cluster.namespace().await,
            namespace => Ok(namespace.to_owned()),
        }
    }

    fn manifest<'a>(&'a self, namespace: &'a str) -> Manifest<'a> {
        Manifest { pool: &self.purpose.pool, mark: self.purpose.mark, settings: &self.settings, namespace }
    }

    /// Makes the pool's ConfigMap and Secret what they should be. Returns the identity of the first, the owner of everything.
    async fn apply(&self, namespace: &str, is_dry: bool) -> Result<String, KubernetesError> {
        let manifest = self.manifest(namespace);
        let config_map = manifest.config_map(dialled(&self.settings.dial, &self.purpose.grounds.dial)?);
        let applied = self.cluster.apply(Kind::ConfigMaps, namespace, &config_map, is_dry).await?;
        let owner = applied["metadata"]["uid"].as_str().unwrap_or(NOBODY).to_owned();
        let token = self.purpose.folder.token();
        let secret = manifest.secret(token.as_ref().map_or("", |token| token.expose()), &owner);
        self.cluster.apply(Kind::Secrets, namespace, &secret, is_dry).await?;
        Ok(owner)
    }

    async fn create(&self, allocation: AllocationId, exclude: &[String]) -> Result<(), NotCreated> {
        let namespace = self.namespace().await.map_err(NotCreated::Before)?;
        let owner = self.apply(&namespace, false).await.map_err(NotCreated::Before)?;
        let job = self.manifest(&namespace).job(allocation, &owner, exclude).map_err(NotCreated::Invalid)?;
        let mut answer = self.cluster.create(Kind::Jobs, &namespace, &job, false).await;
        if answer.as_ref().is_err_and(KubernetesError::leaves_open) {
            // The name lets the server recognise a job that it has made.
            answer = self.cluster.create(Kind::Jobs, &namespace, &job, false).await;
        }
        match answer {
            Err(error) if !error.is(409) => Err(NotCreated::Asked(error)),
            _ => Ok(()),
        }
    }

    async fn list(&self, pools: &[&str]) -> Result<Vec<Known>, KubernetesError> {
        let namespace = self.namespace().await?;
        let labels = format!("{POOL} in ({})", pools.join(","));
        let jobs: Vec<KubernetesJob> = self.cluster.list(Kind::Jobs, &namespace, &labels).await?;
        let pods: Vec<Pod> = self.cluster.list(Kind::Pods, &namespace, &labels).await?;
        let now = i64::try_from(unix_ms() / 1000).unwrap_or(i64::MAX);
        Ok(answers::allocations(&jobs, &pods, self.settings.time_seconds, now))
    }

    async fn cancel_if_waiting(&self, allocation: AllocationId) -> Result<(), KubernetesError> {
        let (namespace, name) = (self.namespace().await?, job_name(allocation));
        let job: KubernetesJob = match self.cluster.get(Kind::Jobs, &namespace, &name).await {
            Err(error) if error.is(404) => return Ok(()),
            job => job?,
        };
        let labels = format!("{ALLOCATION}={allocation}");
        let pods: Vec<Pod> = self.cluster.list(Kind::Pods, &namespace, &labels).await?;
        let version = job.metadata.resource_version.clone();
        let known = answers::allocations(&[job], &pods, self.settings.time_seconds, 0);
        if !known.iter().any(|known| matches!(known.job.state, JobState::Pending | JobState::Held)) {
            return Ok(());
        }
        match self.cluster.delete(Kind::Jobs, &namespace, &name, version).await {
            // It changed meanwhile, or is gone: the next look says which.
            Err(error) if error.is(404) || error.is(409) => Ok(()),
            answer => answer,
        }
    }
}

/// Why a job was not created, as far as is known.
enum NotCreated {
    /// The pool's own objects could not be made.
    Before(KubernetesError),
    Invalid(InvalidSettings),
    Asked(KubernetesError),
}

#[async_trait]
impl System for Kubernetes {
    fn name(&self) -> &'static str {
        "Kubernetes"
    }

    fn waits(&self) -> Waits {
        self.purpose.grounds.options.kubernetes
    }

    /// Each pool has lists of its own, which are short.
    fn queue_name(&self) -> String {
        format!("kubernetes/{}", self.purpose.pool)
    }

    fn script(&self, allocation: AllocationId) -> String {
        match self.manifest(&self.settings.namespace).job(allocation, NOBODY, &[]) {
            Ok(job) => format!("{job:#}\n"),
            Err(error) => one_line(&error),
        }
    }

    fn log(&self, allocation: AllocationId) -> String {
        let namespace = match self.settings.namespace.as_str() {
            "" => String::new(),
            namespace => format!(" --namespace {namespace}"),
        };
        format!("kubectl logs{namespace} job/{}", job_name(allocation))
    }

    async fn equip(&self) -> Result<(), BatchError> {
        let applied = async { self.apply(&self.namespace().await?, false).await };
        applied.await.map(drop).map_err(|error| refused("the Kubernetes server", &error))
    }

    async fn test(&self, example: AllocationId) -> Result<String, BatchError> {
        let refused = |error: KubernetesError| refused(TEST, &error);
        let namespace = self.namespace().await.map_err(refused)?;
        let job = self.manifest(&namespace).job(example, NOBODY, &[])?;
        self.apply(&namespace, true).await.map_err(refused)?;
        self.cluster.create(Kind::Jobs, &namespace, &job, true).await.map_err(refused)?;
        let mut said = format!("the server would take such a job in the namespace {namespace}");
        let dialled = dialled(&self.settings.dial, &self.purpose.grounds.dial).map_err(refused)?;
        if is_loopback(dialled.parse().ok().as_ref().and_then(http::Uri::host)) {
            said.push_str(&format!(
                "; {dialled} is the pod itself when a pod dials it: give another address with --dial"
            ));
        }
        Ok(said)
    }

    async fn submit(&self, allocation: AllocationId, exclude: &[String]) -> Submission {
        match self.create(allocation, exclude).await {
            Ok(()) => Submission::Job(answers::number(allocation)),
            Err(NotCreated::Invalid(error)) => Submission::Refused { why: one_line(&error) },
            Err(NotCreated::Before(error)) => Submission::Refused { why: one_line(&error) },
            Err(NotCreated::Asked(error)) if error.leaves_open() => Submission::Open { why: one_line(&error) },
            Err(NotCreated::Asked(error)) => Submission::Refused { why: one_line(&error) },
        }
    }

    async fn queue(&self, pools: &[&str]) -> Result<Vec<Job>, Unanswered> {
        let known = self.list(pools).await.map_err(|error| Unanswered(one_line(&error)))?;
        let lines = known.iter().map(|known| (known.job.allocation, known.last_line.clone()));
        *self.last_lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = lines.collect();
        Ok(known.into_iter().map(|known| known.job).collect())
    }

    async fn cancel(&self, allocation: AllocationId, _: JobId) -> Result<(), Unanswered> {
        self.cancel_if_waiting(allocation).await.map_err(|error| Unanswered(one_line(&error)))
    }

    async fn last_log_line(&self, allocation: AllocationId) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.get(&allocation).cloned().unwrap_or_default()
    }

    async fn close(&self) -> Result<(), Unanswered> {
        let deleted = async {
            let namespace = self.namespace().await?;
            match self.cluster.delete(Kind::ConfigMaps, &namespace, &self.manifest(&namespace).name(), None).await {
                Err(error) if error.is(404) => Ok(()),
                answer => answer,
            }
        };
        deleted.await.map_err(|error: KubernetesError| Unanswered(one_line(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_coordinator_is_no_address_for_pods() {
        let announced = format!("{RENDEZVOUS_SCHEME}/home/me/rendezvous.json");
        let error = dialled("", &announced).expect_err("pods cannot read it").to_string();
        assert!(error.contains("--dial"), "{error}");
        assert_eq!(dialled("https://login-1:7450", &announced).expect("it is an address"), "https://login-1:7450");
        assert_eq!(dialled("", "https://login-1:7450").expect("it is an address"), "https://login-1:7450");
    }
}
