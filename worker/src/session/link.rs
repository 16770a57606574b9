//! Keeps a connection to the coordinator open.

use std::io;
use std::time::Duration;

use dial::Authorize;
use hyper_util::rt::TokioIo;
use proto::v1::worker_service_client::WorkerServiceClient;
use proto::v1::{CoordinatorMessage, WorkerMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};
use tracing::{debug, info};
use vocabulary::Backoff;

/// Number of messages that may wait to be sent before the session waits.
const SENDS_WAITING: usize = 256;

/// Takes what goes to the coordinator over one connection.
pub type Sender = mpsc::Sender<WorkerMessage>;

/// A change of the connection.
#[derive(Debug)]
pub enum LinkEvent {
    /// It is open. Messages sent here go to the coordinator; dropping it ends the session on this side.
    Opened(Sender),
    /// A message arrived.
    Received(Box<CoordinatorMessage>),
    /// It broke, or could not be opened. Another try follows soon.
    Closed(LinkError),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The coordinator did not answer.
    #[error("cannot connect")]
    Connect(#[source] tonic::transport::Error),
    /// The coordinator answered with an error, or the connection broke.
    #[error("the session broke off")]
    Session(#[source] Box<Status>),
    /// The coordinator ended the session.
    #[error("the coordinator ended the session")]
    Ended,
}

impl LinkError {
    /// Whether what listens there does not know this worker's token, or is another program.
    #[must_use]
    pub fn is_failed_login(&self) -> bool {
        matches!(self, Self::Connect(source) if dial::failed_login(source).is_some())
    }

    /// Whether retrying makes sense for a worker that was never welcome. It does not if the coordinator understood and
    /// refused.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let Self::Session(status) = self else { return true };
        let refusals = [Code::InvalidArgument, Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied];
        !refusals.contains(&status.code())
    }
}

/// The delay before the next try: drawn from the upper half of a [`Backoff`]'s, so that the workers of a restarted
/// coordinator do not reconnect all at once.
#[derive(Debug)]
pub struct JitteredBackoff {
    waits: Backoff,
    failures: u32,
}

impl JitteredBackoff {
    /// Delays from `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { waits: Backoff { first, longest }, failures: 0 }
    }

    /// The next delay. `draw` is between 0 and 1.
    pub fn next(&mut self, draw: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.waits.wait_after(self.failures).mul_f64(0.5 + 0.5 * draw.clamp(0.0, 1.0))
    }

    /// After a success: the next delay is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Dials repeatedly, until nobody listens to its events.
///
/// `connect` opens a connection below any encryption: over TCP, through a proxy, or through a simulated network.
pub async fn keep_connected<C, F, IO>(
    endpoint: Endpoint,
    connect: C,
    authorize: Authorize,
    mut backoff: JitteredBackoff,
    events: mpsc::Sender<LinkEvent>,
) where
    C: Fn(Uri) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        let error = one_connection(&endpoint, connect.clone(), &authorize, &mut backoff, &events).await;
        if events.send(LinkEvent::Closed(error)).await.is_err() {
            return;
        }
        let wait = backoff.next(rand::random());
        debug!(?wait, "dialling again");
        tokio::time::sleep(wait).await;
    }
}

async fn one_connection<C, F, IO>(
    endpoint: &Endpoint,
    connect: C,
    authorize: &Authorize,
    backoff: &mut JitteredBackoff,
    events: &mpsc::Sender<LinkEvent>,
) -> LinkError
where
    C: Fn(Uri) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connector = tower::service_fn(move |uri| {
        let connecting = connect(uri);
        async move { connecting.await.map(TokioIo::new) }
    });
    let channel = match endpoint.connect_with_connector(connector).await {
        Ok(channel) => channel,
        Err(error) => return LinkError::Connect(error),
    };
    match session(channel, authorize.clone(), backoff, events).await {
        Ok(()) => LinkError::Ended,
        Err(status) => LinkError::Session(Box::new(status)),
    }
}

async fn session(
    channel: Channel,
    authorize: Authorize,
    backoff: &mut JitteredBackoff,
    events: &mpsc::Sender<LinkEvent>,
) -> Result<(), Status> {
    let mut client = WorkerServiceClient::with_interceptor(channel, authorize)
        .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
    let (sender, outgoing) = mpsc::channel(SENDS_WAITING);
    // The hello must be on its way before the coordinator answers.
    if events.send(LinkEvent::Opened(sender)).await.is_err() {
        return Ok(());
    }
    let mut incoming = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
    while let Some(message) = incoming.message().await? {
        backoff.reset();
        if events.send(LinkEvent::Received(Box::new(message))).await.is_err() {
            info!("the worker ends its session");
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_over() {
        let mut backoff = JitteredBackoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let longest: Vec<_> = (0..4).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 50);
    }

    #[test]
    fn a_refusal_is_not_retried() {
        let session = |code| LinkError::Session(Box::new(Status::new(code, "")));
        assert!(!session(Code::InvalidArgument).is_retryable());
        assert!(session(Code::Unavailable).is_retryable());
        assert!(LinkError::Ended.is_retryable());
    }
}
