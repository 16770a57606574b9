//! Requests to the server, with bounds on their time and on the length of answers.
//!
//! A context may name a credential plugin, a program that the client runs and waits for without yielding. Requests therefore run
//! on the cluster's own thread, so that a plugin that hangs blocks no other task and does not delay the end of the process.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

use super::error::{KubernetesError, in_words};

/// The most that is read of an answer: a page of five hundred pods has some megabytes.
const LONGEST: usize = 32 << 20;

/// Objects on a page of a list.
const PAGE: u32 = 500;

/// Pages of a list at most.
const MOST_PAGES: u32 = 200;

/// How often a list is begun anew, because a part of it is too old for the server.
const TRIES: u32 = 3;

/// Field manager for server-side apply.
const MANAGER: &str = "windtunnel";

/// A cluster, found when it is first needed.
pub(super) struct Cluster {
    context: String,
    patience: Duration,
    found: Arc<Mutex<Option<Found>>>,
    thread: Option<OwnThread>,
}

/// The client, and the namespace of its context.
type Found = (Client, String);

/// A thread for what may block. It ends with this, or with the process if it is blocked.
struct OwnThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl OwnThread {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        let run = move || drop(runtime.block_on(stopped));
        std::thread::Builder::new().name("kubernetes".to_owned()).spawn(run)?;
        Ok(Self { handle, _stop: stop })
    }
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
        Self { context, patience, found: Arc::default(), thread: OwnThread::start().ok() }
    }

    /// The namespace of the context, or of the coordinator's pod.
    pub(super) async fn namespace(&self) -> Result<String, KubernetesError> {
        let (found, context) = (Arc::clone(&self.found), self.context.clone());
        self.apart(async move { Ok(find(&found, &context).await?.1) }).await
    }

    /// Runs what may block on the cluster's own thread, for as long as there is patience.
    async fn apart<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, KubernetesError>> + Send + 'static,
    ) -> Result<T, KubernetesError> {
        let no_thread = || KubernetesError::NoCluster("no thread can be started".to_owned());
        let mut task = self.thread.as_ref().ok_or_else(no_thread)?.handle.spawn(asked);
        match tokio::time::timeout(self.patience, &mut task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(KubernetesError::Severed(error.to_string())),
            Err(_) => {
                task.abort();
                Err(KubernetesError::TookTooLong(self.patience))
            }
        }
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
        let mut request = kind.requests(namespace).create(&params, bytes);
        // By default the server leaves out what it does not know, such as a field that is misspelt.
        if let (true, Ok(request)) = (is_dry, &mut request)
            && let Ok(strict) = format!("{}&fieldValidation=Strict", request.uri()).parse()
        {
            *request.uri_mut() = strict;
        }
        self.ask(request).await
    }

    /// Creates an object or updates it to this content.
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

    /// Deletes an object and, in the background, its dependents; if `version` is given, only at that version.
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
                // The continuation has expired.
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
        for _ in 0..MOST_PAGES {
            let page: Page<T> = self.ask(kind.requests(namespace).list(&params)).await?;
            all.extend(page.items);
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(all),
            }
        }
        Err(KubernetesError::TooManyPages(MOST_PAGES))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, KubernetesError> {
        let request = request.map_err(|error| KubernetesError::Unreadable(error.to_string()))?;
        let (found, context) = (Arc::clone(&self.found), self.context.clone());
        let (status, body) = self
            .apart(async move {
                let (client, _) = find(&found, &context).await?;
                let sent = client.send(request.map(Body::from)).await;
                let (status, body) = read(sent.map_err(|error| KubernetesError::severed(&error))?).await?;
                if status == 401 {
                    // The credentials may have been renewed since they were read.
                    *found.lock().await = None;
                }
                Ok((status, body))
            })
            .await?;
        if !(200..300).contains(&status) {
            return Err(KubernetesError::of_status(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| KubernetesError::Unreadable(error.to_string()))
    }
}

/// The client of a context, or of the cluster around the coordinator.
async fn find(found: &Mutex<Option<Found>>, context: &str) -> Result<Found, KubernetesError> {
    let mut found = found.lock().await;
    if let Some(found) = found.as_ref() {
        return Ok(found.clone());
    }
    let no_cluster = |error: &dyn std::fmt::Display| KubernetesError::NoCluster(error.to_string());
    let mut config = if context.is_empty() {
        Config::infer().await.map_err(|error| no_cluster(&error))?
    } else {
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let kubeconfig = Kubeconfig::read().map_err(|error| no_cluster(&error))?;
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| no_cluster(&error))?
    };
    if config.proxy_url.is_some() {
        return Err(no_cluster(
            &"a proxy is set, which is not supported: remove proxy-url from the context, and unset HTTPS_PROXY",
        ));
    }
    if config.cluster_url.scheme_str() != Some("https") && !is_loopback(config.cluster_url.host()) {
        return Err(no_cluster(&"the server is not reached over https, so tokens would be sent unencrypted"));
    }
    // The caller decides whether to retry.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| KubernetesError::NoCluster(in_words(&error)))?;
    Ok(found.insert((client, namespace)).clone())
}

/// Whether a host is this machine, by its name or address.
pub(super) fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
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
