//! A coordinator without a mind of its own, on loopback. It can be killed, with every connection it has, and started
//! again where it was.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use proto::v1::{self, CoordinatorMessage, Hello, WorkerMessage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use vocabulary::{Evaluation, Stage};
use worker::AttemptKey;

use crate::bench::PATIENCE;
use crate::record::Record;
use crate::support::{attempt_of, is_end};

/// What is sent down, or ends the session.
type Outgoing = mpsc::Sender<Result<CoordinatorMessage, Status>>;

pub(crate) struct Coordinator {
    address: SocketAddr,
    storage: String,
    /// What it says that the storage's marker says. It asks for no proof where that is empty.
    pub(crate) storage_id: String,
    opened: mpsc::UnboundedSender<Session>,
    sessions: mpsc::UnboundedReceiver<Session>,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Coordinator {
    pub(crate) fn start(storage: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (opened, sessions) = mpsc::unbounded_channel();
        let server = Some(serve(listener, opened.clone()));
        Self { address, storage, storage_id: String::new(), opened, sessions, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a signal would: nobody is told, and nobody listens any more.
    pub(crate) fn kill(&mut self) {
        let (stop, thread) = self.server.take().expect("it runs");
        let _ = stop.send(());
        thread.join().expect("the server does not panic");
        while self.sessions.try_recv().is_ok() {}
    }

    /// Starts it again, on the port it had.
    pub(crate) fn restart(&mut self) {
        // The standard library sets SO_REUSEADDR, so that what is left of old connections does not keep the port.
        let listener = TcpListener::bind(self.address).expect("the port is still free");
        self.server = Some(serve(listener, self.opened.clone()));
    }

    /// The next session that says hello.
    pub(crate) async fn greet(&mut self) -> (Session, Hello) {
        let session = timeout(PATIENCE, self.sessions.recv()).await.expect("a worker dials");
        let mut session = session.expect("the sender is here");
        match session.next().await.and_then(|message| message.body) {
            Some(Up::Hello(hello)) => (session, hello),
            other => panic!("expected a hello, and got {other:?}"),
        }
    }

    /// What makes a worker welcome.
    pub(crate) fn welcome(&self, heartbeat_interval: Duration) -> Down {
        Down::Welcome(v1::Welcome {
            heartbeat_interval_ms: heartbeat_interval.as_millis() as u64,
            lease_duration_ms: 36_000_000,
            storage: self.storage.clone(),
            protocol: proto::PROTOCOL,
            version: String::new(),
            storage_id: self.storage_id.clone(),
        })
    }

    /// The next session of a worker that lives, made welcome. Heartbeats are too far apart to be seen. What is said before
    /// for workers that have ended is acknowledged.
    pub(crate) async fn accept(&mut self) -> (Session, Hello) {
        loop {
            let (mut session, hello) = self.accept_any().await;
            if !hello.ended {
                return (session, hello);
            }
            while let Some(message) = session.next().await {
                if message.sequence > 0 {
                    session.acknowledge(message.sequence).await;
                }
            }
        }
    }

    /// The next session, made welcome, whoever speaks for whom.
    pub(crate) async fn accept_any(&mut self) -> (Session, Hello) {
        let (session, hello) = self.greet().await;
        session.say(self.welcome(Duration::from_secs(3600))).await;
        (session, hello)
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill();
        }
    }
}

/// Listens on a thread and a runtime of its own, whose end takes every connection with it.
fn serve(listener: TcpListener, opened: mpsc::UnboundedSender<Session>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("sockets can be told so");
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).expect("it listens"));
            let service = WorkerServiceServer::new(Service { opened });
            let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
            tokio::select! {
                result = serving => result.expect("it serves"),
                _ = stopped => {}
            }
        });
    });
    (stop, thread)
}

struct Service {
    opened: mpsc::UnboundedSender<Session>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type SessionStream = ReceiverStream<Result<CoordinatorMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, stream) = mpsc::channel(64);
        let session = Session { incoming: request.into_inner(), outgoing };
        self.opened.send(session).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// One stream of a worker. Dropping it breaks the connection.
pub(crate) struct Session {
    incoming: Streaming<WorkerMessage>,
    outgoing: Outgoing,
}

impl Session {
    /// The next message; `None` when the worker has ended the session.
    pub(crate) async fn next(&mut self) -> Option<WorkerMessage> {
        let message = timeout(PATIENCE, self.incoming.message()).await.expect("something comes");
        message.expect("the connection is sound")
    }

    /// The next report, which is put on record and not acknowledged.
    pub(crate) async fn hear(&mut self, record: &mut Record) -> WorkerMessage {
        let message = self.next().await.expect("the session continues");
        assert!(message.sequence > 0, "expected a report, and got {message:?}");
        record.take(message.clone());
        message
    }

    /// Hears and acknowledges reports up to the end of an attempt, which is returned.
    pub(crate) async fn hear_the_end_of(&mut self, key: AttemptKey, record: &mut Record) -> Up {
        loop {
            let message = self.hear(record).await;
            self.acknowledge(message.sequence).await;
            let body = message.body.expect("it says something");
            if attempt_of(&body) == key && is_end(&body) {
                return body;
            }
        }
    }

    pub(crate) async fn say(&self, body: Down) {
        self.outgoing.send(Ok(CoordinatorMessage { body: Some(body) })).await.expect("the session continues");
    }

    pub(crate) async fn acknowledge(&self, sequence: u64) {
        self.say(Down::Acknowledgement(v1::Acknowledgement { sequence })).await;
    }

    pub(crate) async fn assign(&self, key: AttemptKey, stage: &Stage, start: Option<v1::CheckpointRef>) {
        let attempt = Some(key.into());
        let assignment = v1::Assignment { attempt, stage: Some(stage.into()), start, ..Default::default() };
        self.say(Down::Assignment(assignment)).await;
    }

    pub(crate) async fn assign_evaluation(
        &self,
        key: AttemptKey,
        evaluation: &Evaluation,
        start: Option<v1::CheckpointRef>,
    ) {
        let attempt = Some(key.into());
        let assignment = v1::Assignment { attempt, evaluation: Some(evaluation.into()), start, ..Default::default() };
        self.say(Down::Assignment(assignment)).await;
    }

    pub(crate) async fn revoke(&self, key: AttemptKey) {
        self.say(Down::Revocation(v1::Revocation { attempt: Some(key.into()), checkpoint_first: false })).await;
    }

    /// Ends the session with an error.
    pub(crate) async fn turn_away(self, status: Status) {
        self.outgoing.send(Err(status)).await.expect("the session continues");
    }
}
