//! Sessions: one stream up and one down, for as long as the connection lasts.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::Map;
use proto::v1::worker_service_server::WorkerService;
use proto::v1::{CoordinatorMessage, WorkerMessage};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, error, warn};
use vocabulary::WorkerId;
use vocabulary::text::one_line;

use super::{decode, encode};
use crate::auth::{Caller, Guard};
use crate::driver::DriverHandle;
use crate::driver::input::{Input, SessionId};
use crate::driver::to_worker::{Outgoing, SessionEnd, ToWorker};
use crate::incoming::ServerLimits;
use crate::tasks::caught;

/// Messages that may wait for a worker to read them.
const OUTGOING: usize = 256;

/// Why a call has no stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    #[error("the request carries no authenticated caller")]
    NoCaller,
    #[error("the coordinator has as many sessions as it allows")]
    TooMany,
    #[error("the hello did not arrive in time")]
    NoHello,
    #[error("the worker ended the session before its hello")]
    Ended,
    #[error("the coordinator is shutting down")]
    Stopping,
}

/// The driver's messages to a worker, on their way to the wire.
type Encoded = Map<ReceiverStream<Result<ToWorker, SessionEnd>>, fn(Result<ToWorker, SessionEnd>) -> Sent>;
type Sent = Result<CoordinatorMessage, Status>;

/// The service that workers dial.
pub(crate) struct WorkerHandlers {
    driver: DriverHandle,
    guard: Arc<Guard>,
    stop: CancellationToken,
    sessions: AtomicU64,
    /// One for each session, from before its hello.
    places: Arc<Semaphore>,
    /// How long a session may stay silent before its hello.
    hello: Duration,
}

impl WorkerHandlers {
    pub(crate) fn new(driver: DriverHandle, guard: Arc<Guard>, limits: ServerLimits, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(limits.sessions.min(Semaphore::MAX_PERMITS)));
        Self { driver, guard, stop, sessions: AtomicU64::new(0), places, hello: limits.hello }
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerHandlers {
    type SessionStream = Encoded;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = request.extensions().get::<Caller>().cloned().ok_or(NotOpened::NoCaller)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| NotOpened::TooMany)?;
        let mut incoming = request.into_inner();
        let first = tokio::time::timeout(self.hello, incoming.message()).await;
        let first = first.map_err(|_| NotOpened::NoHello)??.ok_or(NotOpened::Ended)?;
        let hello = decode::hello(first)?;

        let worker = hello.worker;
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let end = self.stop.child_token();
        let (outgoing, stream) = mpsc::channel(OUTGOING);
        let opened = Input::SessionOpened {
            session,
            hello: Box::new(hello),
            caller: caller.clone(),
            outgoing: outgoing.clone(),
            end: end.clone(),
        };
        self.driver.inputs().send(opened).await.map_err(|_| NotOpened::Stopping)?;
        let (guard, inputs) = (Arc::clone(&self.guard), self.driver.inputs().clone());
        tokio::spawn(async move {
            let revoked = guard.until_revoked(&caller);
            let heard = listen(session, worker, incoming, outgoing, &inputs, end, revoked);
            if let Err(panicked) = caught("a worker's session", heard).await {
                error!(%worker, error = %panicked, "a worker's session is ended");
            }
            // The driver may be gone, and the session with it.
            let _ = inputs.send(Input::SessionClosed { session, worker }).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream).map(sent as fn(_) -> _)))
    }
}

fn sent(message: Result<ToWorker, SessionEnd>) -> Sent {
    Ok(encode::to_worker(message?))
}

/// Passes on a worker's messages until the connection ends or is replaced, a message is malformed, or its token no longer
/// counts.
async fn listen(
    session: SessionId,
    worker: WorkerId,
    mut incoming: Streaming<WorkerMessage>,
    outgoing: Outgoing,
    inputs: &mpsc::Sender<Input>,
    end: CancellationToken,
    revoked: impl Future<Output = ()>,
) {
    let mut revoked = pin!(revoked);
    loop {
        let message = tokio::select! {
            () = end.cancelled() => break,
            () = &mut revoked => {
                warn!(%worker, "the token of a worker's session no longer counts");
                // If the channel is full, the client still sees that the stream ends.
                let _ = outgoing.try_send(Err(SessionEnd::TokenRevoked));
                break;
            }
            message = incoming.message() => message,
        };
        let decoded = match message {
            Ok(Some(message)) => decode::message(message),
            Ok(None) => break,
            Err(error) => {
                debug!(%worker, %error, "a session broke");
                break;
            }
        };
        match decoded {
            Ok(message) => {
                if inputs.send(Input::FromWorker { session, worker, message }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(%worker, %error, "a worker sent a malformed message; its session is ended");
                // If the channel is full, the client still sees that the stream ends.
                let _ = outgoing.try_send(Err(SessionEnd::Malformed { reason: one_line(&error) }));
                break;
            }
        }
    }
}
