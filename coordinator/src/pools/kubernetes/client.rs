//! Requests to the server, with bounds on their time and on the length of answers.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::KubernetesError;

/// The most that is read of an answer: a page of five hundred pods has some megabytes.
const LONGEST: usize = 32 << 20;

/// Objects on a page of a list.
const PAGE: u32 = 500;

/// How often a list is begun anew, because a part of it is too old for the server.
const TRIES: u32 = 3;

/// Who applies what is applied.
const MANAGER: &str = "windtunnel";

/// A cluster, found when it is first needed.
pub(super) struct Cluster {
    context: String,
    patience: Duration,
    /// The client and the namespace of its context.
    found: Mutex<Option<(Client, String)>>,
}

/// A kind of objects within a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Jobs,
    Pods,
    ConfigMaps,
    Secrets,
}

/// A page of a list.
#[derive(serde::Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Cluster {
    pub(super) fn new(context: String, patience: Duration) -> Self {
        Self { context, patience, found: Mutex::new(None) }
    }

    /// The namespace of the context, or of the coordinator's pod.
    pub(super) async fn namespace(&self) -> Result<String, KubernetesError> {
        Ok(self.find().await?.1)
    }

    /// Creates an object; with `is_dry`, only asks if the server would.
    pub(super) async fn create(
        &self,
        kind: Kind,
        namespace: &str,
        object: &Value,
        is_dry: bool,
    ) -> Result<Value, KubernetesError> {
        let params = PostParams { dry_run: is_dry, field_manager: Some(MANAGER.to_owned()) };
        let bytes = object.to_string().into_bytes();
        self.ask(kind.requests(namespace).create(&params, bytes)).await
    }

    /// Makes an object what it should be, if it is there or not.
    pub(super) async fn apply(
        &self,
        kind: Kind,
        namespace: &str,
        object: &Value,
        is_dry: bool,
    ) -> Result<Value, KubernetesError> {
        let params = PatchParams { dry_run: is_dry, ..PatchParams::apply(MANAGER).force() };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        self.ask(kind.requests(namespace).patch(name, &params, &Patch::Apply(object))).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<T, KubernetesError> {
        self.ask(kind.requests(namespace).get(name, &kube::api::GetParams::default())).await
    }

    /// Deletes an object with all that belongs to it, which the server sees to afterwards; only in this version, if one is named.
    pub(super) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        version: Option<String>,
    ) -> Result<(), KubernetesError> {
        let preconditions = version.map(|version| Preconditions { resource_version: Some(version), uid: None });
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions,
            ..DeleteParams::default()
        };
        self.ask::<Value>(kind.requests(namespace).delete(name, &params)).await.map(drop)
    }

    /// All objects with such labels: every page of one list, or an error.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<T>, KubernetesError> {
        for _ in 0..TRIES {
            match self.list_once(kind, namespace, labels).await {
                // The server no longer has the state of which the next page would be a part.
                Err(error) if error.is(410) => {}
                answer => return answer,
            }
        }
        Err(KubernetesError::Changes(TRIES))
    }

    async fn list_once<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<T>, KubernetesError> {
        let mut params = ListParams::default().labels(labels).limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page: Page<T> = self.ask(kind.requests(namespace).list(&params)).await?;
            all.extend(page.items);
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(all),
            }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, KubernetesError> {
        let request = request.map_err(|error| KubernetesError::Unreadable(error.to_string()))?;
        let (client, _) = self.find().await?;
        let answer = async {
            let sent = client.send(request.map(Body::from)).await;
            read(sent.map_err(|error| KubernetesError::severed(&error))?).await
        };
        let answered = tokio::time::timeout(self.patience, answer).await;
        let (status, body) = answered.map_err(|_| KubernetesError::TookTooLong(self.patience))??;
        if !(200..300).contains(&status) {
            if status == 401 {
                // The credentials may have been renewed since they were read.
                *self.found.lock().await = None;
            }
            return Err(KubernetesError::of_status(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| KubernetesError::Unreadable(error.to_string()))
    }

    async fn find(&self) -> Result<(Client, String), KubernetesError> {
        let mut found = self.found.lock().await;
        if let Some(found) = found.as_ref() {
            return Ok(found.clone());
        }
        let no_cluster = |error: &dyn std::fmt::Display| KubernetesError::NoCluster(error.to_string());
        let mut config = if self.context.is_empty() {
            Config::infer().await.map_err(|error| no_cluster(&error))?
        } else {
            let options = KubeConfigOptions { context: Some(self.context.clone()), ..KubeConfigOptions::default() };
            let kubeconfig = Kubeconfig::read().map_err(|error| no_cluster(&error))?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| no_cluster(&error))?
        };
        // Whoever asks decides about another try.
        config.default_retry = false;
        config.connect_timeout = Some(self.patience);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| no_cluster(&error))?;
        Ok(found.insert((client, namespace)).clone())
    }
}

impl Kind {
    fn requests(self, namespace: &str) -> kube::core::Request {
        let (group, plural) = match self {
            Self::Jobs => ("apis/batch/v1", "jobs"),
            Self::Pods => ("api/v1", "pods"),
            Self::ConfigMaps => ("api/v1", "configmaps"),
            Self::Secrets => ("api/v1", "secrets"),
        };
        kube::core::Request::new(format!("/{group}/namespaces/{namespace}/{plural}"))
    }
}

/// Reads a whole answer, up to a limit.
async fn read(response: Response<Body>) -> Result<(u16, Vec<u8>), KubernetesError> {
    let status = response.status().as_u16();
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| KubernetesError::severed(&error))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LONGEST {
            return Err(KubernetesError::TooLong(LONGEST));
        }
    }
    Ok((status, bytes))
}
