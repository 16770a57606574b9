//! The gRPC server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use proto::limits::{MAX_MESSAGE_BYTES, MAX_PIECE_BYTES, MAX_REQUEST_BYTES, PIECES_AT_ONCE};
use proto::v1::campaign_service_server::CampaignServiceServer;
use proto::v1::pool_service_server::PoolServiceServer;
use proto::v1::worker_service_server::WorkerServiceServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tracing::error;

use crate::auth::{AuthLayer, Guard};
use crate::grpc::{CampaignHandlers, PoolHandlers, WorkerHandlers};
use crate::incoming::{Accepted, CountCalls, ServerLimits};

/// A connection is broken once nothing came back over it for this long.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The headers of one call.
const HEADER_BYTES: u32 = 16 << 10;

/// Calls that the client reset before the server accepted them. A connection with more of them is closed.
const RESET_STREAMS: usize = 20;

/// Unread bytes of one call.
const WINDOW_BYTES: u32 = 1 << 20;

/// Unread bytes of one connection: pieces of a dataset that are on their way together.
const CONNECTION_WINDOW_BYTES: u32 = (PIECES_AT_ONCE * MAX_PIECE_BYTES) as u32;

/// All services.
pub(super) async fn routes(campaigns: CampaignHandlers, pools: PoolHandlers, workers: WorkerHandlers) -> Routes {
    let campaigns = CampaignServiceServer::new(campaigns)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let pools = PoolServiceServer::new(pools)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let workers = WorkerServiceServer::new(workers)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<CampaignServiceServer<CampaignHandlers>>().await;
    reporter.set_serving::<PoolServiceServer<PoolHandlers>>().await;
    reporter.set_serving::<WorkerServiceServer<WorkerHandlers>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the compiled contract is a valid descriptor set");
    Routes::new(health).add_service(reflection).add_service(campaigns).add_service(pools).add_service(workers)
}

/// The services behind their guard.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) limits: ServerLimits,
    pub(super) routes: Routes,
    pub(super) guard: Arc<Guard>,
    pub(super) close: CancellationToken,
}

impl Door {
    /// Serves incoming connections until it is closed.
    pub(super) async fn serve<S, IO>(self, accepted: S, tls: Option<ServerTlsConfig>)
    where
        S: Stream<Item = io::Result<Accepted<IO>>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { limits, routes, guard, close } = self;
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = match server.tls_config(tls) {
                Ok(server) => server,
                // It was loaded at the start, so this does not happen.
                Err(error) => return error!(%error, "the certificates cannot be used"),
            };
        }
        let served = server
            .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES)
            .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .max_concurrent_streams(limits.streams_per_connection)
            .timeout(limits.answer)
            // Behind the guard, so that only authorised calls count.
            .layer(AuthLayer(guard))
            .layer(CountCalls)
            .add_routes(routes)
            .serve_with_incoming_shutdown(accepted, close.cancelled_owned())
            .await;
        if let Err(error) = served {
            error!(%error, "the server ended");
        }
    }
}
