//! Keeps a connection to the coordinator open.

use std::io;
use std::time::Duration;

use dial::{AddressError, Authorize};
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
    /// No coordinator is announced.
    #[error(transparent)]
    Address(AddressError),
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
    /// Addresses that failed since the last wait.
    failed: usize,
}

impl JitteredBackoff {
    /// Delays from `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { waits: Backoff { first, longest }, failures: 0, failed: 0 }
    }

    /// The next delay. `draw` is between 0 and 1.
    pub fn next(&mut self, draw: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.waits.wait_after(self.failures).mul_f64(0.5 + 0.5 * draw.clamp(0.0, 1.0))
    }

    /// The next delay, once as many addresses have failed as there are; none before.
    pub fn next_of(&mut self, addresses: usize, draw: f64) -> Option<Duration> {
        self.failed += 1;
        if self.failed < addresses {
            return None;
        }
        self.failed = 0;
        Some(self.next(draw))
    }

    /// After a success: the next delay is short again, and comes only after all addresses.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.failed = 0;
    }
}

/// Dials repeatedly, until nobody listens to its events: one address after another, and all of them before it waits. One that
/// stands by for another coordinator answers that it does. `dials` says where the coordinator is now.
///
/// `connect` opens a connection below any encryption: over TCP, through a proxy, or through a simulated network.
pub async fn keep_connected<D, C, F, IO>(
    dials: D,
    connect: C,
    mut backoff: JitteredBackoff,
    events: mpsc::Sender<LinkEvent>,
) where
    D: Fn() -> Result<Vec<(Endpoint, Authorize)>, AddressError>,
    C: Fn(Uri) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut next = 0;
    loop {
        let (error, addresses) = match dials() {
            Ok(dials) if !dials.is_empty() => {
                let (endpoint, authorize) = &dials[next % dials.len()];
                (one_connection(endpoint, connect.clone(), authorize, &mut backoff, &events).await, dials.len())
            }
            Ok(_) => (LinkError::Ended, 1),
            Err(error) => (LinkError::Address(error), 1),
        };
        next = next.wrapping_add(1);
        if events.send(LinkEvent::Closed(error)).await.is_err() {
            return;
        }
        let Some(wait) = backoff.next_of(addresses, rand::random()) else { continue };
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
    fn all_addresses_are_tried_before_a_wait() {
        let mut backoff = JitteredBackoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let mut waits = |times: usize| -> Vec<Option<u128>> {
            (0..times).map(|_| backoff.next_of(2, 1.0).map(|wait| wait.as_millis())).collect()
        };
        assert_eq!(waits(5), [None, Some(100), None, Some(200), None]);
        backoff.reset();
        assert_eq!([backoff.next_of(2, 1.0), backoff.next_of(2, 1.0)].map(|wait| wait.is_some()), [false, true]);
        assert_eq!(backoff.next_of(1, 1.0).map(|wait| wait.as_millis()), Some(200), "one address waits each time");
    }

    #[test]
    fn a_refusal_is_not_retried() {
        let session = |code| LinkError::Session(Box::new(Status::new(code, "")));
        assert!(!session(Code::InvalidArgument).is_retryable());
        assert!(session(Code::Unavailable).is_retryable());
        assert!(LinkError::Ended.is_retryable());
    }
}
