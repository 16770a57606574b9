//! The HTTP client of a bucket. It ends requests that make no progress, however long a transfer takes as a whole: a bound on
//! whole requests would fail each large object on a slow line, and without any bound a broken line would never be noticed.

use std::error::Error;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, Error as StoreError};
use tokio::time::{Instant, Sleep, sleep};

use super::Transfer;

/// What is handed to the connection at once. Progress is what the connection has taken.
const FRAME: usize = 256 << 10;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) transfer: Transfer,
    /// Whether the service is on this machine, which no proxy leads to.
    pub(super) is_here: bool,
}

/// A request that was ended.
#[derive(Debug, thiserror::Error)]
enum Stalled {
    #[error("nothing was sent or received for {} s", .0.as_secs_f64())]
    Request(Duration),
    #[error("the response paused for {} s", .0.as_secs_f64())]
    Response(Duration),
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Whoever was first, it is the only one that this build has.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let setting = |key| options.get_config_value(&key);
        // The client that asks a machine's metadata service for keys waits less.
        let connect = setting(ClientConfigKey::ConnectTimeout)
            .and_then(|text| text.strip_suffix('s')?.parse().ok())
            .map_or(self.transfer.connect, |seconds| self.transfer.connect.min(Duration::from_secs(seconds)));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("windtunnel/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(connect)
            .https_only(setting(ClientConfigKey::AllowHttp).as_deref() != Some("true"));
        if self.is_here {
            builder = builder.no_proxy();
        }
        let failed = |error: reqwest::Error| StoreError::Generic { store: "HTTP client", source: error.into() };
        let client = builder.build().map_err(failed)?;
        Ok(HttpClient::new(Watched { client, read: self.transfer.read, stall: self.transfer.stall }))
    }
}

#[derive(Debug)]
struct Watched {
    client: reqwest::Client,
    read: Duration,
    stall: Duration,
}

#[async_trait::async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts
            .uri
            .to_string()
            .parse()
            .map_err(|error| HttpError::new::<url::ParseError>(HttpErrorKind::Unknown, error))?;
        let progress = Progress::default();
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(reqwest::Body::wrap(Sent { body, rest: Bytes::new(), progress: progress.clone() }));
        let response = tokio::select! {
            response = self.client.execute(request) => response.map_err(http_error)?,
            () = progress.pause_of(self.stall) => {
                return Err(HttpError::new(HttpErrorKind::Timeout, Stalled::Request(self.stall)));
            }
        };
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = Received { body, pause: Box::pin(sleep(self.read)), longest: self.read, is_waited_for: false };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// An error of the client as the object store knows it. The kind decides whether it is tried again. Without the URL, which may
/// hold a signature.
fn http_error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() && !error.is_connect() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() && !was_cut(&error) {
        HttpErrorKind::Decode
    } else {
        // Only what may be repeated is.
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}

fn was_cut(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |error| (*error).source()).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        })
    })
}

/// When a request last got anywhere.
#[derive(Debug, Clone)]
struct Progress(Arc<Mutex<Instant>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Progress {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Resolves once there has been no progress for this long.
    async fn pause_of(&self, longest: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = last.elapsed();
            if pause >= longest {
                return;
            }
            sleep(longest - pause).await;
        }
    }
}

/// The body of a request, in small frames.
#[derive(Debug)]
struct Sent {
    body: HttpRequestBody,
    rest: Bytes,
    progress: Progress,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        this.progress.note();
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        let next = this.rest.split_to(this.rest.len().min(FRAME));
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        self.body.size_hint().exact().map_or_else(SizeHint::default, |more| SizeHint::with_exact(rest + more))
    }
}

/// The body of a response, which may not pause for long.
#[derive(Debug)]
struct Received {
    body: reqwest::Body,
    pause: Pin<Box<Sleep>>,
    longest: Duration,
    /// Whether a reader waits. One that is busy elsewhere is not the service's fault.
    is_waited_for: bool,
}

impl Body for Received {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.is_waited_for = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(http_error)));
        }
        if !std::mem::replace(&mut this.is_waited_for, true) {
            this.pause.as_mut().reset(Instant::now() + this.longest);
        }
        ready!(this.pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, Stalled::Response(this.longest)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
