//! The API server: TLS, a bearer token, objects with versions, lists in pages, and faults.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::cluster::Cluster;
use crate::support::Place;

/// The namespace that the kubeconfig names.
pub(crate) const NAMESPACE: &str = "training";
const TOKEN: &str = "token-of-the-coordinator";

/// What goes wrong with the next requests of a kind.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status with a message, as often as said.
    Status(u16, String, usize),
    /// The connection is cut before anything is done.
    Cut(usize),
    /// Everything is done, and the connection is cut before the answer.
    Lose(usize),
    /// No answer, and nothing is done.
    Hang(usize),
    /// The rest of a list is too old.
    Expire(usize),
}

/// A request that was answered, or was not.
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// `jobs`, `pods`, `configmaps` or `secrets`.
    pub(crate) plural: String,
    pub(crate) is_dry: bool,
}

/// The server, until it is dropped.
pub(crate) struct Api {
    pub(crate) cluster: Arc<Mutex<Cluster>>,
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct State {
    /// By the method and what it is about, such as `POST jobs`; `*` is everything.
    faults: BTreeMap<String, Fault>,
    seen: Vec<Seen>,
    /// Everything that was sent, whole.
    received: Vec<Value>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Api {
    /// Starts a server, and writes a kubeconfig for it into the place.
    pub(crate) fn start(place: &Place) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        place.write("api-ca.pem", &certified.cert.pem());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let tls = ServerConfig::builder().with_no_client_auth();
        let tls = tls.with_single_cert(vec![certified.cert.der().clone()], key).expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("has an address");
        let cluster = Arc::new(Mutex::new(Cluster::new(place.path("cluster"))));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = (Arc::clone(&cluster), Arc::clone(&state));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
                        answer(shared.clone(), request.map(Body::new))
                    });
                    let connection = auto::Builder::new(TokioExecutor::new());
                    // A connection that is cut is an error of it.
                    let _ = connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
                });
            }
        });
        let ticking = Arc::clone(&cluster);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let ticking = Arc::clone(&ticking);
                let ticked = tokio::task::spawn_blocking(move || locked(&ticking).tick()).await;
                ticked.expect("the controller works");
            }
        });
        let api = Self { cluster, state, address, _runtime: runtime };
        api.write_kubeconfig(place, TOKEN);
        api
    }

    /// Writes the kubeconfig, with this token.
    pub(crate) fn write_kubeconfig(&self, place: &Place, token: &str) {
        let (address, ca) = (self.address, place.path("api-ca.pem"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters:\n- name: test\n  cluster: {{server: 'https://{address}', certificate-authority: '{}'}}\n\
             users:\n- name: test\n  user: {{token: '{token}'}}\n\
             contexts:\n- name: test\n  context: {{cluster: test, user: test, namespace: {NAMESPACE}}}\n",
            ca.display()
        );
        fs::write(place.path("kubeconfig"), text).expect("written");
    }

    pub(crate) fn write_good_kubeconfig(&self, place: &Place) {
        self.write_kubeconfig(place, TOKEN);
    }

    /// From now on, this goes wrong with requests such as `POST jobs`, or with all (`*`).
    pub(crate) fn fault(&self, what: &str, fault: Fault) {
        locked(&self.state).faults.insert(what.to_owned(), fault);
    }

    pub(crate) fn heal(&self) {
        locked(&self.state).faults.clear();
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        locked(&self.cluster)
    }

    /// How many such requests came; dry runs do not count.
    pub(crate) fn count(&self, method: &Method, plural: &str) -> usize {
        let is_such = |seen: &&Seen| seen.method == *method && seen.plural == plural && !seen.is_dry;
        locked(&self.state).seen.iter().filter(is_such).count()
    }

    /// Everything that was sent.
    pub(crate) fn received(&self) -> Vec<Value> {
        locked(&self.state).received.clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.cluster().end_all();
    }
}

/// A connection is cut by an error of the service.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct IsCut;

type Shared = (Arc<Mutex<Cluster>>, Arc<Mutex<State>>);

async fn answer((cluster, state): Shared, request: Request<Body>) -> Result<Response<Body>, IsCut> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 8 << 20).await.map_err(|_| IsCut)?;
    let query: BTreeMap<String, String> = url_pairs(parts.uri.query().unwrap_or_default());
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let (plural, name) = match path.as_slice() {
        ["apis", "batch", "v1", "namespaces", NAMESPACE, plural @ "jobs", rest @ ..]
        | ["api", "v1", "namespaces", NAMESPACE, plural @ ("pods" | "configmaps" | "secrets"), rest @ ..] => {
            (*plural, rest.first().map(|name| (*name).to_owned()))
        }
        _ => return Ok(status(404, &format!("the server has nothing at {}", parts.uri.path()))),
    };
    let is_dry = query.get("dryRun").is_some_and(|dry| dry == "All");
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    if authorization != Some(&format!("Bearer {TOKEN}")) {
        return Ok(status(401, "Unauthorized"));
    }
    // Without it, a field that is misspelt is left out in silence.
    if is_dry && parts.method == Method::POST && query.get("fieldValidation").is_none_or(|how| how != "Strict") {
        return Ok(status(400, "the dry run of these tests is strict"));
    }
    let fault = {
        let mut state = locked(&state);
        state.seen.push(Seen { method: parts.method.clone(), plural: plural.to_owned(), is_dry });
        state.take(&format!("{} {plural}", parts.method), query.contains_key("continue"))
    };
    match &fault {
        Some(Fault::Status(code, message, _)) => return Ok(status(*code, message)),
        Some(Fault::Cut(_)) => return Err(IsCut),
        Some(Fault::Expire(_)) => return Ok(status(410, "the provided continue parameter is too old")),
        Some(Fault::Hang(_)) => return std::future::pending().await,
        Some(Fault::Lose(_)) | None => {}
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if matches!(parts.method, Method::POST | Method::PATCH) {
        locked(&state).received.push(value.clone());
    }
    let done = {
        let mut cluster = locked(&cluster);
        match (&parts.method, name) {
            (&Method::GET, None) => cluster.list(plural, &query),
            (&Method::GET, Some(name)) => cluster.get(plural, &name),
            (&Method::POST, None) => cluster.create(plural, value, is_dry),
            (&Method::PATCH, Some(name)) => cluster.apply(plural, &name, value, is_dry),
            (&Method::DELETE, Some(name)) => cluster.delete(plural, &name, &value),
            _ => Err((405, "the server does not allow this method".to_owned())),
        }
    };
    if matches!(fault, Some(Fault::Lose(_))) {
        return Err(IsCut);
    }
    Ok(match done {
        Ok(value) => response(200, &value),
        Err((code, message)) => status(code, &message),
    })
}

impl State {
    /// The fault that this request meets, if there is one, which it uses up.
    fn take(&mut self, what: &str, is_rest: bool) -> Option<Fault> {
        let key = if self.faults.contains_key(what) { what } else { "*" };
        let fault = self.faults.get_mut(key)?;
        let (Fault::Status(_, _, left)
        | Fault::Cut(left)
        | Fault::Lose(left)
        | Fault::Hang(left)
        | Fault::Expire(left)) = fault;
        if *left == 0 {
            return None;
        }
        if matches!(fault, Fault::Expire(_)) && !is_rest {
            return None;
        }
        let (Fault::Status(_, _, left)
        | Fault::Cut(left)
        | Fault::Lose(left)
        | Fault::Hang(left)
        | Fault::Expire(left)) = fault;
        *left -= 1;
        Some(fault.clone())
    }
}

fn response(code: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(Body::from(value.to_string())).expect("is sound")
}

/// An answer in the server's own form.
fn status(code: u16, message: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
    });
    response(code, &status)
}

/// The pairs of a query, decoded.
fn url_pairs(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    let digits = String::from_utf8(digits).expect("two digits");
                    bytes.push(u8::from_str_radix(&digits, 16).expect("hexadecimal digits"));
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}
