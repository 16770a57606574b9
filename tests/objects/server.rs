//! An S3 server in this process, with faults in front of it.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use s3s::HttpError;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::support::process::wait_for;

pub(crate) const BUCKET: &str = "runs";
pub(crate) const KEY: &str = "windtunnel-test";
pub(crate) const SECRET: &str = "a secret of nobody";

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service answers with this status.
    Status(u16),
    /// It never answers.
    Silence,
    /// It answers, and the connection breaks after so many bytes of the content.
    Cut(usize),
    /// It answers, and says nothing more after so many bytes of the content.
    Pause(usize),
    /// It answers with another ETag.
    WrongEtag,
    /// A bit of what it gets is flipped.
    Flip,
}

/// Which requests it is about: their method, and a part of their path and query.
type About = (Method, &'static str);

#[derive(Default)]
struct State {
    /// With how often each happens still.
    faults: VecDeque<(About, Fault, usize)>,
    /// Method, path and query.
    requests: Vec<(Method, String)>,
}

/// The server. Dropping it stops it and removes what it has.
pub(crate) struct Server {
    runtime: Runtime,
    root: TempDir,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    service: S3Service,
    /// Makes it speak TLS.
    tls: Option<TlsAcceptor>,
    serving: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join(BUCKET)).expect("made");
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("a root"));
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let service = service.build();
        let mut server = Self { runtime, root, address, state: Arc::default(), service, tls, serving: None };
        server.go_on();
        server
    }

    /// Stops listening and breaks all connections, as at the end of a process.
    pub(crate) fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            while !serving.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Listens again, at the same address.
    pub(crate) fn go_on(&mut self) {
        // The port is free again once what was accepted at it is closed.
        let listener = wait_for("a port to listen at", || std::net::TcpListener::bind(self.address).ok());
        listener.set_nonblocking(true).expect("it can be");
        self.address = listener.local_addr().expect("it is bound");
        let _entered = self.runtime.enter();
        let listener = TcpListener::from_std(listener).expect("it is bound");
        let (state, service, tls) = (Arc::clone(&self.state), self.service.clone(), self.tls.clone());
        self.serving = Some(self.runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, service) = (Arc::clone(&state), service.clone());
                match tls.clone() {
                    None => connections.spawn(converse(state, service, stream)),
                    Some(tls) => connections.spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(state, service, stream).await;
                        }
                    }),
                };
                while connections.try_join_next().is_some() {}
            }
        }));
    }

    /// The next `times` requests of this kind fail. Earlier faults come first.
    pub(crate) fn fail(&self, method: Method, path: &'static str, fault: Fault, times: usize) {
        lock(&self.state).faults.push_back(((method, path), fault, times));
    }

    pub(crate) fn forgive(&self) {
        lock(&self.state).faults.clear();
    }

    /// How many requests of this kind have come.
    pub(crate) fn requests(&self, method: Method, path: &str) -> usize {
        lock(&self.state).requests.iter().filter(|(m, p)| *m == method && p.contains(path)).count()
    }

    /// What a client needs to know.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let endpoint = match self.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        };
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The folder of the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection until it ends.
async fn converse<S>(state: Arc<Mutex<State>>, service: S3Service, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let faulty = tower::service_fn(move |request| answer(Arc::clone(&state), service.clone(), request));
    let builder = Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(faulty)).await;
}

async fn answer<B>(
    state: Arc<Mutex<State>>,
    service: S3Service,
    request: Request<B>,
) -> Result<Response<Faulty<s3s::Body>>, HttpError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().to_string();
    let fault = {
        let mut state = lock(&state);
        state.requests.push((request.method().clone(), path.clone()));
        let is_meant = |((method, part), _, times): &&mut (About, Fault, usize)| {
            *times > 0 && *method == request.method() && path.contains(*part)
        };
        state.faults.iter_mut().find(is_meant).map(|(_, fault, times)| {
            *times -= 1;
            *fault
        })
    };
    match fault {
        Some(Fault::Status(status)) => {
            let code = if status == 503 { "SlowDown" } else { "InternalError" };
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told to</Message></Error>");
            let mut response = Response::new(Faulty::whole(s3s::Body::from(body)));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            return Ok(response);
        }
        Some(Fault::Silence) => std::future::pending().await,
        _ => {}
    }
    let is_flipped = fault == Some(Fault::Flip);
    let request = request.map(|body| Faulty { is_flipped, ..Faulty::whole(body) });
    let mut response = tower::ServiceExt::oneshot(service, request).await?;
    if fault == Some(Fault::WrongEtag) {
        response.headers_mut().insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
    }
    Ok(response.map(|body| match fault {
        Some(Fault::Cut(bytes)) => Faulty { left: Some(bytes), ..Faulty::whole(body) },
        Some(Fault::Pause(bytes)) => Faulty { left: Some(bytes), pauses: true, ..Faulty::whole(body) },
        _ => Faulty::whole(body),
    }))
}

/// A body that does not come whole.
struct Faulty<B> {
    body: B,
    /// Bytes until something happens.
    left: Option<usize>,
    pauses: bool,
    is_flipped: bool,
}

impl<B> Faulty<B> {
    fn whole(body: B) -> Self {
        Self { body, left: None, pauses: false, is_flipped: false }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct WasCut;

impl<B: Body<Data = Bytes> + Unpin> Body for Faulty<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.left == Some(0) {
            // Whoever waits here is woken by nobody, which is the fault.
            return if this.pauses { Poll::Pending } else { Poll::Ready(Some(Err(std::io::Error::other(WasCut)))) };
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
        let frame = frame.map(|frame| frame.map_err(std::io::Error::other));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|mut data| {
                    if let Some(left) = &mut this.left {
                        data.truncate(*left);
                        *left -= data.len();
                    }
                    if std::mem::take(&mut this.is_flipped) && !data.is_empty() {
                        let mut flipped = data.to_vec();
                        flipped[0] ^= 1;
                        data = flipped.into();
                    }
                    data
                })
            })
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
