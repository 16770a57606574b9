//! Sessions: one stream up and one down, for as long as the connection lasts.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::v1::worker_service_server::WorkerService;
use proto::v1::{CoordinatorMessage, WorkerMessage};
use futures::StreamExt;
use futures::stream::Map;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, warn};
use vocabulary::WorkerId;

use super::{decode, encode, status};
use crate::auth::{Caller, Guard};
use crate::driver::DriverHandle;
use crate::driver::input::{Input, RequestError, SessionId};
use crate::driver::to_worker::{Outgoing, SessionEnd, ToWorker};
use crate::incoming::ServerLimits;
use crate::people::chain;

/// Messages that may wait for a worker to read them.
const OUTGOING: usize = 256;

/// The driver's messages to a worker, on their way to the wire.
type Encoded = Map<ReceiverStream<Result<ToWorker, SessionEnd>>, fn(Result<ToWorker, SessionEnd>) -> Sent>;
type Sent = Result<CoordinatorMessage, Status>;

/// The service that workers dial.
pub(crate) struct WorkerApi {
    driver: DriverHandle,
    guard: Arc<Guard>,
    stop: CancellationToken,
    sessions: AtomicU64,
    /// One for each session, from before its hello.
    places: Arc<Semaphore>,
    /// How long a session may stay silent before its hello.
    hello: Duration,
}

impl WorkerApi {
    pub(crate) fn new(driver: DriverHandle, guard: Arc<Guard>, limits: ServerLimits, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(limits.sessions.min(Semaphore::MAX_PERMITS)));
        Self { driver, guard, stop, sessions: AtomicU64::new(0), places, hello: limits.hello }
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type SessionStream = Encoded;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Status::internal("the request carries no authenticated caller"))?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Status::resource_exhausted("the coordinator has as many sessions as it allows"))?;
        let mut incoming = request.into_inner();
        let first = tokio::time::timeout(self.hello, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("the hello did not arrive in time"))??;
        let first = first.ok_or_else(|| Status::cancelled("the worker ended the session before its hello"))?;
        let hello = decode::hello(first).map_err(|error| status::from_decode(&error))?;

        let worker = hello.worker;
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let end = self.stop.child_token();
        let (outgoing, stream) = mpsc::channel(OUTGOING);
        let opened = Input::SessionOpened {
            session,
            hello,
            caller: caller.clone(),
            outgoing: outgoing.clone(),
            end: end.clone(),
        };
        let sent = self.driver.inputs().send(opened).await;
        sent.map_err(|_| status::from_request(RequestError::Stopping))?;
        let (guard, inputs) = (Arc::clone(&self.guard), self.driver.inputs().clone());
        tokio::spawn(async move {
            let revoked = guard.until_revoked(&caller);
            listen(session, worker, incoming, outgoing, inputs, end, revoked).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream).map(sent)))
    }
}

fn sent(message: Result<ToWorker, SessionEnd>) -> Sent {
    message.map(encode::to_worker).map_err(|end| status::from_session_end(&end))
}

/// Passes on a worker's messages until the connection ends or is replaced, a message is malformed, or its token no longer
/// counts.
async fn listen(
    session: SessionId,
    worker: WorkerId,
    mut incoming: Streaming<WorkerMessage>,
    outgoing: Outgoing,
    inputs: mpsc::Sender<Input>,
    end: CancellationToken,
    revoked: impl Future<Output = ()>,
) {
    let mut revoked = pin!(revoked);
    loop {
        let message = tokio::select! {
            () = end.cancelled() => break,
            () = &mut revoked => {
                warn!(%worker, "the token of a worker's session no longer counts");
                // If there is no room to say so, the end of the stream says enough.
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
                // If there is no room to say so, the end of the stream says enough.
                let _ = outgoing.try_send(Err(SessionEnd::Malformed { reason: chain(&error) }));
                break;
            }
        }
    }
    drop(outgoing);
    // The driver may be gone, and the session with it.
    let _ = inputs.send(Input::SessionClosed { session, worker }).await;
}
