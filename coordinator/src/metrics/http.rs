//! Answers `GET /metrics`, on a listener of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tracing::error;

use super::{exposition, render};
use crate::api::Api;
use crate::auth::Guard;
use crate::incoming::{Accepted, CountCalls, Gate, Peer};

/// Where the page is.
pub(crate) const PATH: &str = "/metrics";

/// A page is shown again for so long: many who look cost no more than one.
const SHOWN_AGAIN_FOR: Duration = Duration::from_secs(1);

/// How long a page may take.
const LONGEST: Duration = Duration::from_secs(20);

/// The headers of a request.
const HEADER_BYTES: u32 = 16 << 10;

/// Who may look at the metrics, and where they come from.
#[derive(Clone)]
pub(crate) struct MetricsDoor {
    pub(crate) api: Api,
    /// Asks for a token where other machines can reach the listener.
    pub(crate) guard: Arc<Guard>,
    /// Of the coordinator's public address.
    pub(crate) gate: Arc<Gate>,
    pub(crate) latest: Arc<Mutex<Option<(Instant, String)>>>,
    pub(crate) close: CancellationToken,
}

impl MetricsDoor {
    /// Serves incoming connections until it is closed.
    pub(crate) async fn serve<S, IO>(self, accepted: S, tls: Option<ServerTlsConfig>)
    where
        S: Stream<Item = io::Result<Accepted<IO>>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = match server.tls_config(tls) {
                Ok(server) => server,
                // It was loaded at the start, so this does not happen.
                Err(error) => return error!(%error, "the certificates cannot be used for metrics"),
            };
        }
        let close = self.close.clone();
        let router = Router::new().route(PATH, get(answer)).with_state(self);
        let served = server
            .accept_http1(true)
            .http2_max_header_list_size(HEADER_BYTES)
            .timeout(LONGEST)
            .layer(CountCalls)
            .add_routes(Routes::from(router))
            .serve_with_incoming_shutdown(accepted, close.cancelled_owned())
            .await;
        if let Err(error) = served {
            error!(%error, "the server of metrics ended");
        }
    }

    async fn page(&self) -> Result<String, crate::api::ApiError> {
        // Whoever comes while a page is made waits for it.
        let mut latest = self.latest.lock().await;
        if let Some((made, page)) = &*latest
            && made.elapsed() < SHOWN_AGAIN_FOR
        {
            return Ok(page.clone());
        }
        let (figures, driver) = (self.api.figures().await?, &self.api.driver);
        let page = render(&figures, driver.counters(), driver.queue_length(), self.gate.counts());
        *latest = Some((Instant::now(), page.clone()));
        Ok(page)
    }
}

async fn answer(State(door): State<MetricsDoor>, request: Request) -> Response<Body> {
    let from = Peer::of(request.extensions());
    let admitted = door.guard.admit(PATH, request.headers(), from).await;
    let (code, text) = match admitted {
        Ok(_) => match door.page().await {
            Ok(page) => (StatusCode::OK, page),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", vocabulary::text::one_line(&error))),
        },
        Err(status) => {
            let code = match status.code() {
                Code::Unauthenticated => StatusCode::UNAUTHORIZED,
                Code::PermissionDenied => StatusCode::FORBIDDEN,
                Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (code, format!("{}\n", status.message()))
        }
    };
    let mut response = Response::builder().status(code).header(
        CONTENT_TYPE,
        match code {
            StatusCode::OK => exposition::CONTENT_TYPE,
            _ => "text/plain; charset=utf-8",
        },
    );
    if code == StatusCode::UNAUTHORIZED {
        response = response.header(WWW_AUTHENTICATE, "Bearer");
    }
    if code == StatusCode::TOO_MANY_REQUESTS {
        response = response.header(RETRY_AFTER, "60");
    }
    response.body(Body::from(text)).expect("these headers are valid")
}
